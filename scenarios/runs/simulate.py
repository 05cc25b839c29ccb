"""One simulated federation, from data to world model, without rivals."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from federation.data.samples import FederatedData
from federation.world.novelty import Coverage, coverage
from federation.opening import Opened, open_run, run_config
from federation.world.union_bound import UnionBound, union_bound
from scenarios.baselines import METHODS, Trial
from scenarios.baselines.contract import WorldRun
from scenarios.baselines.world import contender, run_world
from scenarios.runs.compare import WORLD
from scenarios.runs.engines import RAY, Engine
from scenarios.runs.journal import Journal
from scenarios.runs.progress import Progress
from scenarios.runs.resting import resting
from scenarios.runs.scoring import on_confidence, on_held_out, on_local, on_union
from scenarios.runs.seams import seam_score

SCORES: dict[str, Callable[[WorldRun, FederatedData], float | None]] = {
    "union": lambda run, data: on_union(contender(run), data),
    "local": lambda run, data: on_local(contender(run), data),
    "held_out": lambda run, data: on_held_out(contender(run), data),
    "ece": lambda run, data: on_confidence(METHODS[WORLD], contender(run), data).ece if data.task.classifies else None,
    "seams": lambda run, data: seam_score(run.outcome.world, data.union_test),
}
"""What a run is scored by, in the order of tables; None where the data have no such test. To add one: a row here."""


@dataclass(frozen=True)
class Simulation:
    """A finished run and its scores."""

    opened: Opened
    run: WorldRun
    scores: Mapping[str, float | None]
    coverage: Coverage
    bound: UnionBound | None

    def dump(self) -> dict[str, Any]:
        """Plain data."""
        world = self.run.outcome.world
        return {
            "scenario": self.opened.scenario.name,
            "seed": self.opened.scenario.seed,
            "metric": world.design.task.metric,
            **self.scores,
            "clients": len(self.opened.federation().clients),
            "regions": world.design.regions,
            "composition": world.design.composition,
            "novelty": asdict(self.coverage),
            "union_bound": asdict(self.bound) if self.bound else None,
            "resting": resting(self.run.outcome, self.opened.scenario),
            "grown": [news for record in self.run.outcome.history for news in record.grown],
            "bytes_up": self.run.traffic.up,
            "bytes_down": self.run.traffic.down,
            "refused": sum(len(record.refused) for record in self.run.outcome.history),
            "silent": sum(record.silent for record in self.run.outcome.history),
            "clock": self.run.outcome.history[-1].clock,
        }


def simulate(
    reference: str,
    overrides: Mapping[str, Any],
    seed: int,
    progress: Progress,
    engine: Engine = RAY,
    journal: Journal | None = None,
    rounds: int | None = None,
) -> Simulation:
    """Run all phases of a scenario.

    Args:
        journal: where checkpoints are kept; what is there is gone on from.
        rounds: the checkpoint to go on from; the last one without it.
    """
    config, journal = run_config(reference, overrides, seed), journal or Journal()
    opened = open_run(config)
    trial = Trial(
        opened,
        engine.grids(opened, config),
        on_round=progress.advance,
        checkpoints=journal.checkpoints(opened.scenario),
        resumed=journal.resumed(opened.scenario, rounds=rounds),
    )
    progress.begin(f"{opened.scenario.name}, {len(opened.federation().clients)} clients", trial.rounds)
    run = run_world(trial)
    scores = {name: score(run, opened.federation()) for name, score in SCORES.items()}
    world, federation = run.outcome.world, opened.federation()
    return Simulation(opened, run, scores, coverage(world, federation.union_test), union_bound(world, federation))
