"""The global model between two rounds of federated averaging."""

from dataclasses import replace

from federation.learning.experts import Expert
from federation.models import Size
from federation.phases.averaging import Averaging as Value
from federation.tensors import Parameters, prefixed, single
from federation.wire.contribution import EVERYWHERE, WEIGHT, Contribution, filled
from server.bounds import Answer
from server.global_model import GlobalModelTraining
from server.phases.contract import Kind, Now, Told
from server.state import ServerState
from server.training import aggregated, elastic_answer


class Averaging(GlobalModelTraining):
    """Sends the global model at each client's size. Where it rolls, other units are the leading ones in each round."""

    def told(self, now: Now, kind: Kind) -> Told:
        model = now.state.prior.parameters
        turned = _turned(now, model, now.step.round) if _rolls(now) else model
        part = now.scenario.model.slice(turned, now.task, kind.size)
        return Told(prefixed("model", part), {"learning_rate": 1.0, "region": EVERYWHERE})

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return elastic_answer(now, Expert(now.state.prior.parameters), size)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        sums = total.everywhere()
        if _rolls(now) and sums:
            sums = {**sums, **_turned_back(now, sums)}
        return replace(now.state, prior=aggregated(now, now.state.prior, sums))


def _rolls(now: Now) -> bool:
    return isinstance(now.step.phase, Value) and now.step.phase.rolling


def _turned(now: Now, model: Parameters, units: int) -> Parameters:
    """A model of one member with its units moved on in the ring."""
    return single(now.scenario.model.turned({name: t[0] for name, t in model.items()}, now.task, units))


def _turned_back(now: Now, sums: Parameters) -> Parameters:
    """Sums and weights of slices, each where it lies in the whole model."""
    shapes = {name: tuple(tensor.shape) for name, tensor in now.state.prior.parameters.items()}
    held = {name: sums[f"{WEIGHT}/{name}"].expand_as(sums[name]) for name in shapes}
    whole, weights = (
        _turned(now, {name: filled(part[name], shape) for name, shape in shapes.items()}, -now.step.round)
        for part in (sums, held)
    )
    return {**whole, **prefixed(WEIGHT, weights)}


SIDE = Averaging()
