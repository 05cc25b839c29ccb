"""When each region came to rest, and what that saved."""

from math import isfinite
from typing import Any

from federation.scenario import Scenario
from server.app import Outcome


def resting(outcome: Outcome, scenario: Scenario) -> dict[str, Any] | None:
    """Plain data on the experts' rounds; None where nothing was watched.

    `rounds` in which each region was trained, its last `residual` and contraction `rate`, whether it is `stable`; the
    clients' `updates`, and the share of them that was `saved` of those in all rounds.
    """
    bounds = scenario.fixed_point
    if not bounds.watched:
        return None
    answered = [record.answered for record in outcome.history if record.phase == "experts"]
    most = len(answered) * max(answered, default=0)
    regions = [
        {
            "rounds": watch.rounds,
            "residual": watch.residuals[-1] if watch.residuals else None,
            "rate": watch.rate if isfinite(watch.rate) else None,
            "stable": watch.stable(bounds),
        }
        for watch in outcome.watches
    ]
    return {"updates": sum(answered), "saved": 1 - sum(answered) / most if most else 0.0, "regions": regions}
