"""What the server does in each phase, one phase a file, named as in `federation/phases`."""

from collections.abc import Callable, Iterable
from importlib import import_module

from torch import Tensor

from federation.data.samples import FederatedData
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tensors import prefixed
from server.phases.contract import ServerSide


def side(phase: Phase | type[Phase]) -> ServerSide:
    """The server's side of a phase.

    Raises:
        TypeError: what its file or its class names is none.
    """
    found = phase.server or import_module(f"{__name__}.{phase.kind()}").SIDE
    if not isinstance(found, ServerSide):
        raise TypeError(f"the phase {phase.kind()} names a {type(found).__name__} as its server, expected a ServerSide")
    return found


def held(phases: Iterable[Phase], scenario: Scenario, data: Callable[[], FederatedData]) -> dict[str, Tensor]:
    """What the server itself brings to these phases, as `phase/name`; see `ServerSide.holds`.

    Raises:
        InputError: one of them cannot run on these data or settings.
    """
    found: dict[str, Tensor] = {}
    for phase in phases:
        found |= prefixed(phase.name, side(phase).holds(phase, scenario, data))
    return found
