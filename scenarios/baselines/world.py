"""The federation itself: encoder, prior, charts, experts, head, router, composition."""

from typing import Any

from federation.scenario import TIMED
from scenarios.baselines.contract import Contender, Method, Run, Trial
from scenarios.baselines.running import contender, run_phases


class World(Method):
    """The world model of the scenario's own phases."""

    name, title = "world", "world model: experts, charts and head, routed"

    def prepared(self, trial: Trial) -> Trial:
        """The trial's share of rounds, and its factor on the rates of prior and experts, in the scenario's settings."""
        if trial.share == trial.factor == 1:
            return trial
        shorter = trial.scenario.with_rounds(lambda rounds: max(1, round(trial.share * rounds)) if rounds else 0)
        settings: dict[str, Any] = {f"{name}.rounds": getattr(shorter, name).rounds for name in TIMED}
        for name in ("prior", "experts"):
            settings[f"{name}.learning_rate"] = trial.factor * getattr(trial.scenario, name).learning_rate
        return trial.changed(settings)

    def finish(self, trial: Trial) -> Run:
        """The run, from which other methods take what they are made of."""
        return run_phases(self.prepared(trial))

    def run(self, trial: Trial) -> Contender:
        return contender(self.finish(trial))


WORLD = World()
