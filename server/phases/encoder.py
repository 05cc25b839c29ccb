"""The encoders in question, fitted from the moments of all clients."""

from dataclasses import replace

import torch

from federation.learning.experts import trunk_of
from federation.manifold import Encoder as Fitted
from federation.models import Size
from federation.tensors import shapes, under
from federation.wire.contribution import Contribution
from server.bounds import Answer
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import ServerState
from server.telling import prior_tensors


class Encoder(ServerSide):
    """Sends the prior, if an encoder reads its trunk, and fits each encoder to the moments that come back."""

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(prior_tensors(now.state, now.scenario))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        trunk = trunk_of(now.scenario.model, now.state.prior.parameters)
        return shapes(now.scenario.moments(torch.zeros(1, *now.task.input_shape), trunk))

    def advance(self, now: Now, total: Contribution) -> ServerState:
        trunk, everywhere = trunk_of(now.scenario.model, now.state.prior.parameters), total.everywhere()
        fitted = (
            Fitted(rule, rule.fit(under(str(number), everywhere)), trunk)
            for number, rule in enumerate(now.scenario.encoders)
        )
        return replace(now.state, encoders=tuple(fitted))


SIDE = Encoder()
