"""One simulated federation, from data to world model, without rivals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from federation.scenario import Opened, open_run, run_config
from scenarios.baselines import METHODS, Trial
from scenarios.baselines.contract import WorldRun
from scenarios.baselines.world import contender, run_world
from scenarios.compare import WORLD, Progress, scored
from scenarios.engines import RAY, Engine
from scenarios.seams import seam_score


@dataclass(frozen=True)
class Simulation:
    """A finished run and its scores."""

    opened: Opened
    run: WorldRun
    union: float
    local: float | None
    seams: float | None

    def dump(self) -> dict[str, Any]:
        """Plain data."""
        world = self.run.outcome.world
        return {
            "scenario": self.opened.scenario.name,
            "seed": self.opened.scenario.seed,
            "metric": world.design.task.metric,
            "union": self.union,
            "local": self.local,
            "seams": self.seams,
            "clients": len(self.opened.federation().clients),
            "regions": world.design.regions,
            "composition": world.design.composition,
            "bytes_up": self.run.traffic.up,
            "bytes_down": self.run.traffic.down,
            "refused": sum(len(record.refused) for record in self.run.outcome.history),
            "silent": sum(record.silent for record in self.run.outcome.history),
            "clock": self.run.outcome.history[-1].clock,
        }


def simulate(
    reference: str, overrides: Mapping[str, Any], seed: int, progress: Progress, engine: Engine = RAY
) -> Simulation:
    """Run all phases of a scenario."""
    config = run_config(reference, overrides, seed)
    opened = open_run(config)
    trial = Trial(opened, engine.grids(opened, config), on_round=progress.advance)
    progress.begin(f"{opened.scenario.name}, {len(opened.federation().clients)} clients", trial.rounds)
    run = run_world(trial)
    union, local = scored(METHODS[WORLD], contender(run), opened.federation())
    return Simulation(opened, run, union, local, seam_score(run.outcome.world, opened.federation().union_test))
