"""One simulated federation, from data to world model."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from federation.data.samples import FederatedData
from federation.opening import Opened, run_config
from federation.world.novelty import coverage
from federation.world.union_bound import union_bound
from federation.world_model import WorldModel
from scenarios.baselines import METHODS, Trial
from scenarios.baselines.contract import Run
from scenarios.baselines.running import contender, run_phases
from scenarios.runs.compare import WORLD
from scenarios.runs.engines import RAY, Engine
from scenarios.runs.journal import Journal
from scenarios.runs.progress import Progress
from scenarios.runs.resting import resting
from scenarios.runs.scoring import (
    Measured,
    on_clients,
    on_confidence,
    on_held_out,
    on_local,
    on_union,
    union_answers,
    worst_of,
)
from scenarios.runs.seams import jump, seam_score

SCORES: dict[str, Callable[[Run, FederatedData], float | None]] = {
    "union": lambda run, data: on_union(contender(run), data),
    "local": lambda run, data: on_local(contender(run), data),
    "held_out": lambda run, data: (
        on_held_out(contender(run), data) if any(len(c.held_out) for c in data.clients) else None
    ),
    "ece": lambda run, data: on_confidence(METHODS[WORLD], contender(run), data).ece if data.task.classifies else None,
    "seams": lambda run, data: seam_score(run.outcome.world, data.union_test) if _is_world(run) else None,
}
"""What a run is scored by, in the order of tables; None where it does not apply. To add one: a row here."""


@dataclass(frozen=True)
class Simulation:
    """A finished run and its scores."""

    opened: Opened
    run: Run
    scores: Mapping[str, float | None]
    measured: Measured

    def dump(self) -> dict[str, Any]:
        """Plain data."""
        outcome, federation = self.run.outcome, self.opened.federation()
        return {
            "scenario": self.opened.scenario.name,
            "seed": self.opened.scenario.seed,
            "metric": federation.task.metric,
            **self.scores,
            **self._measures(),
            "clients": len(federation.clients),
            **(self._world() if _is_world(self.run) else {}),
            "bytes_up": self.run.traffic.up,
            "bytes_down": self.run.traffic.down,
            "refused": sum(len(record.refused) for record in outcome.history),
            "silent": sum(record.silent for record in outcome.history),
            "clock": outcome.history[-1].clock,
        }

    def _measures(self) -> dict[str, Any]:
        """How else the answers are measured, and each client's score on its own test."""
        trained, federation = contender(self.run), self.opened.federation()
        scores = on_clients(trained, federation)
        return {
            "floor": self.measured.floor(federation),
            "measures": self.measured.of(federation, union_answers(trained, federation)),
            "worst_decile": worst_of(scores),
            "by_client": {"samples": [len(client.train) for client in federation.clients], "scores": scores},
        }

    def _world(self) -> dict[str, Any]:
        """What only a world model has."""
        outcome, federation = self.run.outcome, self.opened.federation()
        world, bound = outcome.world, union_bound(outcome.world, federation)
        torn = jump(world, federation.union_test)
        return {
            "regions": world.design.regions,
            "composition": world.design.composition,
            "novelty": asdict(coverage(world, federation.union_test)),
            "union_bound": asdict(bound) if bound else None,
            "jump": asdict(torn) if torn else None,
            "resting": resting(outcome, self.opened.scenario),
            "grown": [news for record in outcome.history for news in record.grown],
        }


def simulate(
    reference: str,
    overrides: Mapping[str, Any],
    seed: int,
    progress: Progress,
    engine: Engine = RAY,
    journal: Journal | None = None,
    rounds: int | None = None,
    measured: Measured | None = None,
) -> Simulation:
    """Run all phases of a scenario.

    Args:
        journal: where checkpoints are kept; what is there is gone on from.
        rounds: the checkpoint to go on from; the last one without it.
        measured: by what answers are measured beside the score.
    """
    journal = journal or Journal()
    trial = Trial(
        run_config(reference, overrides, seed),
        engine.fresh,
        on_round=progress.advance,
        checkpoints=journal.checkpoints,
        resumed=partial(journal.resumed, rounds=rounds),
    )
    progress.begin(f"{trial.scenario.name}, {len(trial.federation.clients)} clients", trial.rounds)
    run = run_phases(trial)
    scores = {name: score(run, trial.federation) for name, score in SCORES.items()}
    return Simulation(trial.opened, run, scores, measured or Measured())


def _is_world(run: Run) -> bool:
    return isinstance(run.outcome.model, WorldModel)
