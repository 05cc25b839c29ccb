"""The models of all clusters between two rounds."""

from collections.abc import Collection

import torch

from federation.models import Size
from federation.phases.ifca import Ifca as Value
from federation.wire.contribution import Contribution, coverage_mean
from server.bounds import Answer
from server.components import Components
from server.phases.contract import Now
from server.state import ServerState
from server.training import weighted_answer


class Ifca(Components):
    """Each cluster takes the mean of the models of the clients that have joined it."""

    kind = Value

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return set(range(now.scenario.phase(Value).components))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        models = self.components(now.state, now.scenario, now.task)
        return {**weighted_answer({name: t[:1] for name, t in models.items()}), **self.share_answer(now)}

    def advance(self, now: Now, total: Contribution) -> ServerState:
        models = self.components(now.state, now.scenario, now.task)
        apart = [
            {name: t[cluster : cluster + 1] for name, t in models.items()}
            for cluster in range(now.scenario.phase(Value).components)
        ]
        means = [coverage_mean(total.sums.get(cluster, {}), before) for cluster, before in enumerate(apart)]
        return self.next(now, {name: torch.cat([mean[name] for mean in means]) for name in models}, total)


SIDE = Ifca()
