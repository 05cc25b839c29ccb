"""What the server does in each phase, one phase a file, named as in `federation/phases`."""

from importlib import import_module

from federation.phases import Phase
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
