"""Rivals that are lists of phases: they run, deploy, stop and resume as the world model does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.learning.growth import Growth
from federation.learning.plasticity import Plasticity
from federation.models import FullSize
from federation.models.cost import Cost
from federation.models.family import FULL
from federation.phases import Phase
from federation.rules import InputError
from scenarios.baselines.contract import Contender, Method, Trial, active
from scenarios.baselines.running import contender, run_phases
from server.aggregation import Mean
from server.phases import held

PLAIN: dict[str, Any] = {
    "aggregation": Mean().dump(),
    "sizes": FullSize().dump(),
    "growth": Growth().dump(),
    "plasticity": Plasticity().dump(),
}
"""What a scenario sets for its world model, as a rival has it that says nothing of it."""


@dataclass(frozen=True)
class Rival(Method):
    """A method that is a list of phases.

    Attributes:
        phases: the list for so many rounds.
        settings: fields of a scenario that the method sets, beside those of `PLAIN`.
        sized: to which of the world model's sizes its model is made equal; None for the experts' own.
        tiers: whether devices train slices; then the scenario's sizes hold, and must be of several kinds.
    """

    name: str
    title: str
    phases: Callable[[int], tuple[Phase, ...]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    sized: Callable[[Cost], int] | None = active
    tiers: bool = False

    def configured(self, rounds: int) -> dict[str, Any]:
        """The fields that make a scenario run this method."""
        plain = {name: value for name, value in PLAIN.items() if name != "sizes" or not self.tiers}
        return {**plain, **self.settings, "phases": [phase.dump() for phase in self.phases(rounds)]}

    def absent(self, trial: Trial) -> str:
        alike = self.tiers and set(trial.scenario.sizes.sizes) == {FULL}
        if alike:
            return "every device trains the whole model, as in fedavg; set sizes.kind=tiers"
        try:
            held(self.phases(1), trial.scenario, trial.opened.federation)
        except InputError as error:
            return str(error)
        return ""

    def prepared(self, trial: Trial) -> Trial:
        """The trial of the scenario that runs this method, at the trial's size, rounds and rate."""
        model = trial.sized(self.sized) if self.sized else trial.scenario.model
        rate = {"local.learning_rate": trial.learning_rate}
        return trial.changed({**self.configured(trial.rounds), **rate, "model": model.dump()})

    def run(self, trial: Trial) -> Contender:
        return contender(run_phases(self.prepared(trial)))
