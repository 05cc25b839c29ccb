"""What a client does in each phase, one phase a file, named as in `federation/phases`; all answers are sums."""

from importlib import import_module
from typing import cast

from clients.phases.contract import ClientSide
from federation.phases import named


def side(name: str) -> ClientSide:
    """The client's side of a phase.

    Raises:
        ValueError: there is no such phase here.
    """
    phase = named(name)  # an order can name nothing else
    return cast(ClientSide, phase.client or import_module(f"{__name__}.{name}"))
