"""The world model where queries come with unlabelled neighbours: another question than all other methods answer."""

from scenarios.baselines.contract import Contender, Method, Trial
from scenarios.baselines.running import contender


class WithContext(Method):
    """The same world model. Each test sample comes with the other test samples of its own client, without labels.

    Which client that is stays unknown, on local tests, too. Samples of strangers whom nothing tells apart come alone.
    """

    name, title = "context", "the world model, told which test samples share a client (no labels)"
    searched, reuses_world, context = False, True, True

    def run(self, trial: Trial) -> Contender:
        return contender(trial.finished(), context=True)


CONTEXT = WithContext()
