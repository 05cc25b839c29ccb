"""A monolith on the features of the world model's head: what of the world model's lead is its features' alone."""

from federation.models import Mlp
from scenarios.baselines.afl import HeadFeatures
from scenarios.baselines.central import Sight, sighted
from scenarios.baselines.contract import Contender, Method, Trial
from scenarios.baselines.head import without_head


class CentralFeatures(Method):
    """An MLP on pooled data, which sees what the head's last layer sees."""

    name, title = "central_features", "monolith on pooled data, on the head's features, which count among its own"
    reuses_world = True

    def absent(self, trial: Trial) -> str:
        return without_head(trial)

    def run(self, trial: Trial) -> Contender:
        read = HeadFeatures(trial.finished().outcome.world)
        return sighted(trial, Sight(Mlp(blocks=1), read, read, read.cost), self.name)


CENTRAL_FEATURES = CentralFeatures()
