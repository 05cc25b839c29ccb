"""The world model without its experts: the best of its other parts."""

from dataclasses import replace

from scenarios.baselines.contract import Contender, Method, Trial
from scenarios.baselines.running import contender


class WithoutExperts(Method):
    """The composition that held-out samples choose where no expert may answer: what experts are worth is the rest."""

    name, title, searched, reuses_world = "without_experts", "the world model without its experts", False, True

    def run(self, trial: Trial) -> Contender:
        run = trial.finished()
        world = run.outcome.world
        others = world.design.without_experts or {"prior": 1.0}
        design = world.design.model_copy(update={"composition": others})
        return contender(run, model=replace(world, design=design))


WITHOUT_EXPERTS = WithoutExperts()
