"""The global model x and its control variate c between two rounds."""

import torch

from federation.models import Size
from federation.tensors import Parameters, prefixed, under
from federation.wire.contribution import Contribution
from server.bounds import Answer
from server.global_model import GlobalModelTraining, kept
from server.phases.contract import Kind, Now, Told
from server.state import ServerState
from server.training import weighted_answer


class Scaffold(GlobalModelTraining):
    """Sends x and c. Clients weigh as many as their samples, in c as in x, so that the loss which is minimised is that
    of the pooled samples. The server's step is 1, as in the paper's experiments."""

    def told(self, now: Now, kind: Kind) -> Told:
        return Told({**super().told(now, kind).tensors, **prefixed("control", _control(now))})

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return {**super().answer(now, region, size), **weighted_answer(prefixed("control", _control(now)))}

    def advance(self, now: Now, total: Contribution) -> ServerState:
        """c moves by what the clients' own have changed, over the samples of the whole federation."""
        sums = total.everywhere()
        control = {
            name: (c + sums.get(f"control/{name}", torch.zeros(1)).double() / now.state.samples).to(c.dtype)
            for name, c in _control(now).items()
        }
        return super().advance(now.after(kept(now, control=control)), total)


def _control(now: Now) -> Parameters:
    """c, which begins as zero."""
    zeros = {name: torch.zeros_like(tensor) for name, tensor in now.state.prior.parameters.items()}
    return under("control", now.state.own.get(now.step.phase.name, {})) or zeros


SIDE = Scaffold()
