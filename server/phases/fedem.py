"""The components of the mixture between two rounds."""

import torch

from federation.models import Size
from federation.phases.fedem import Fedem as Value
from federation.tensors import Parameters, prefixed, under
from federation.wire.contribution import Contribution, coverage_mean
from server.bounds import Answer
from server.components import Components
from server.phases.contract import Now
from server.state import ServerState
from server.training import weighted_answer


class Fedem(Components):
    """Each component takes the mean of what all clients have made of it."""

    kind = Value

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return {**weighted_answer(self._apart(now)), **self.share_answer(now)}

    def advance(self, now: Now, total: Contribution) -> ServerState:
        before = self._apart(now)
        means = coverage_mean(total.everywhere(), before)
        names, components = under("0", before), range(now.scenario.phase(Value).components)
        together = {name: torch.cat([means[f"{c}/{name}"] for c in components]) for name in names}
        return self.next(now, together, total)

    def _apart(self, now: Now) -> Parameters:
        """The components one by one, each along an axis of one member."""
        models: dict[str, torch.Tensor] = {}
        together = self.components(now.state, now.scenario, now.task)
        for component in range(now.scenario.phase(Value).components):
            models |= prefixed(str(component), {n: t[component : component + 1] for n, t in together.items()})
        return models


SIDE = Fedem()
