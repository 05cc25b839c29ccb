"""What happened in each round, for logs, curves and budgets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from federation.tasks import LEAST_VARIANCE, Task
from federation.tensors import Parameters
from federation.wire.contribution import Contribution


@dataclass(frozen=True)
class RoundRecord:
    """One round as the server saw it.

    Attributes:
        answered: clients whose sums are in the result.
        refused: cause of each reply that is not, by client or node.
        loss: mean training loss in nats over visited samples; None where nothing was trained.
        visited: training samples visited, all clients together.
        multiplies: multiply-adds of a forward pass over each of them, by the model that visited it.
        silent: clients that were asked and did not answer in time.
        clock: seconds since the run began when the round ended; virtual ones in a simulation.
        residual: ||Phi(theta) - theta|| / ||theta|| of the models that this round trained (eq. 23).
        score: of the federation if it stopped here, where somebody asked for it.
        stable: regions that have come to rest by then.
        parameters: of all experts together.
        grown: what has grown, begun anew or given place between this round and the next, a sentence each.
        dormant: share of dormant units in what was trained, by region, the prior's under -1; where it was looked for.
        held_out: accuracy of the composition on samples that clients hold out, as they report it; of values, half the
            squared error a sample. None but in the round that chose the composition.
    """

    number: int
    phase: str
    answered: int
    refused: tuple[str, ...]
    loss: float | None
    visited: int
    multiplies: float
    residual: float | None
    seconds: float
    silent: int = 0
    clock: float = 0.0
    score: float | None = None
    stable: int = 0
    parameters: int = 0
    grown: tuple[str, ...] = ()
    dormant: Mapping[int, float] = field(default_factory=dict)
    held_out: float | None = None

    def dump(self) -> dict[str, Any]:
        """Plain data for a line of JSON."""
        return asdict(self)


def residual_variance(sums: Parameters, task: Task) -> float | None:
    """Mean squared residual of a coordinate over the samples that one model was trained on, just before each step; None
    for classes, and where nothing was visited."""
    visited = float(sums.get("metric/visited", 0))
    if task.classifies or not visited:
        return None
    return max(LEAST_VARIANCE, 2 * float(sums["metric/loss"]) / (visited * task.outputs))


def trained_sums(total: Contribution) -> tuple[float | None, int, float]:
    """Mean loss, visited samples and multiply-adds of a round, over all regions."""
    loss, visited, multiplies = (
        sum(float(sums.get(f"metric/{name}", 0)) for sums in total.sums.values())
        for name in ("loss", "visited", "multiplies")
    )
    told = any("metric/loss" in sums for sums in total.sums.values())
    return (loss / visited if visited and told else None), int(visited), multiplies
