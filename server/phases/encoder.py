"""The encoders in question, fitted from the moments of all clients."""

from dataclasses import replace

import torch

from federation.learning.experts import trunk_of
from federation.manifold import Encoder as Fitted
from federation.models import Size
from federation.tensors import Parameters, shapes, under
from federation.wire.contribution import Contribution
from server.bounds import Answer, check_moments, counts
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import ServerState
from server.telling import prior_tensors


class Encoder(ServerSide):
    """Sends the prior, if an encoder reads its trunk, and fits each encoder to the moments that come back."""

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(prior_tensors(now.state, now.scenario))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        trunk = trunk_of(now.scenario.model, now.state.prior.parameters)
        found = shapes(now.scenario.moments(torch.zeros(1, *now.task.input_shape), trunk))
        return {name: counts() if name.endswith("/count") else shape for name, shape in found.items()}

    def check(self, now: Now, who: str, sums: Parameters, answer: Answer) -> None:
        super().check(now, who, sums, answer)
        for number in range(len(now.scenario.encoders)):
            own = under(str(number), sums)
            if own.keys() >= {"count", "sum", "second"} and any(bool(t.any()) for t in own.values()):
                count, total, second = float(own["count"]), own["sum"].double(), own["second"].double()
                check_moments(f"{who}: encoder {number}", count, total, second, now.scenario.charts.min_count)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        trunk, everywhere = trunk_of(now.scenario.model, now.state.prior.parameters), total.everywhere()
        fitted = (
            Fitted(rule, rule.fit(under(str(number), everywhere)), trunk)
            for number, rule in enumerate(now.scenario.encoders)
        )
        return replace(now.state, encoders=tuple(fitted))


SIDE = Encoder()
