"""What a round makes of the sums that came: the next state of the server."""

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from federation.wire.contribution import Contribution
from server.capping import capped
from server.phases import side
from server.phases.contract import Now
from server.state import ServerState

FAULTS = (ValueError, ArithmeticError, LookupError, RuntimeError)
"""What sums that are well formed, and make no sense together, may raise."""


class RoundLostError(RuntimeError):
    """Nobody's reply could be used, or too many were refused: the run cannot go on."""


class Advance(NamedTuple):
    """What a round has made.

    Attributes:
        total: the sum that was used.
        after: the state that it made.
        held_out: what clients report of that state.
        state: what became of it between rounds.
        news: what has changed between rounds, a sentence each.
    """

    total: Contribution
    after: ServerState
    held_out: float | None
    state: ServerState
    news: tuple[str, ...]


def advanced(
    now: Now, accepted: list[Contribution], refused: list[str], samples: Mapping[int, float] | None
) -> Advance:
    """What a round makes of the sums. Whoever's sums cannot be used together with the others' is refused, too.

    Args:
        refused: gets the cause of one that is refused here.
        samples: of each deployed client, by its census; none counts much more than the median one. None in a
            simulation, where only a wrong value is a client's fault: any other error is our own, and is raised.
    Raises:
        RoundLostError: no one contribution is the cause.
    """
    try:
        return _advance(now, accepted, samples)
    except FAULTS as error:
        cause = " ".join(str(error).split())
        if samples is None and not isinstance(error, ValueError):
            raise
        for culprit in accepted if len(accepted) > 1 else ():
            with suppress(*FAULTS):
                made = _advance(now, [other for other in accepted if other is not culprit], samples)
                refused.append(f"client {culprit.clients[0]}: {now.step} fails with its sums: {cause}")
                return made
        raise RoundLostError(f"{now.step}: {cause}") from error


def _advance(now: Now, accepted: list[Contribution], samples: Mapping[int, float] | None) -> Advance:
    if samples is not None:
        accepted = capped(accepted, now, samples)
    total = Contribution.total(sorted(accepted, key=lambda contribution: contribution.clients))
    phase = side(now.step.phase)
    state = now.state if phase.idle(now) else phase.advance(now, total)
    later = now.after(state)
    held_out = phase.held_out(later, total)
    grown, news = phase.between(later, now.state, total) if total.clients else (state, ())
    return Advance(total, state, held_out, grown, news)
