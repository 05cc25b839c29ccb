"""What happened in each round, for logs, curves and budgets."""

from dataclasses import asdict, dataclass
from typing import Any

from federation.contribution import Contribution
from federation.records import Stage


@dataclass(frozen=True)
class RoundRecord:
    """One round as the server saw it.

    Attributes:
        answered: clients whose sums are in the result.
        refused: cause of each reply that is not, by client or node.
        loss: mean training loss in nats over visited samples; None where nothing was trained.
        visited: training samples visited, all clients together.
        residual: ||Phi(theta) - theta|| / ||theta|| of the models that this round trained (eq. 23).
    """

    number: int
    stage: Stage
    answered: int
    refused: tuple[str, ...]
    loss: float | None
    visited: int
    residual: float | None
    seconds: float

    def dump(self) -> dict[str, Any]:
        """Plain data for a line of JSON."""
        return asdict(self)


def trained_sums(total: Contribution) -> tuple[float | None, int]:
    """Mean loss and visited samples of a round, over all regions."""
    visited = sum(float(sums.get("metric/visited", 0)) for sums in total.sums.values())
    loss = sum(float(sums.get("metric/loss", 0)) for sums in total.sums.values())
    return (loss / visited if visited else None), int(visited)
