"""Of each region, its expert or a readout in its place: what is more often right on held-out samples."""

from dataclasses import replace

from federation.learning.experts import Expert
from federation.models import Size
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import LEAST_VARIANCE, Task
from federation.tensors import Parameters, prefixed
from federation.wire.contribution import Contribution
from federation.world.confidence import TEMPERATURES, fitted_temperature
from server.bounds import Answer, counts, votes
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import Model, ServerState


class Selection(ServerSide):
    """Sends each client its region's expert and readouts, and keeps the best."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return int(scenario.experts.readout is not None)

    def told(self, now: Now, kind: Kind) -> Told:
        expert = prefixed("model", now.state.expert(kind.region).tensors())
        return Told(expert | prefixed("readout", now.state.readouts[kind.region]))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        tried = 1 + len(now.state.readouts[region]["head.bias"])
        if not now.task.classifies:
            return {"losses": votes(tried), "count": counts()}
        return {"right": counts(tried), "losses": votes(tried, len(TEMPERATURES))}

    def advance(self, now: Now, total: Contribution) -> ServerState:
        experts = list(now.state.experts)
        for region, sums in total.sums.items():
            choose = selected if now.task.classifies else nearest
            experts[region] = choose(experts[region], now.state.readouts[region], sums)
        return replace(now.state, experts=tuple(experts), readouts=())

    def between(self, now: Now, before: ServerState, total: Contribution) -> tuple[ServerState, tuple[str, ...]]:
        pairs = zip(before.experts, now.state.experts, strict=True)
        taken = sum(a.parameters.keys() != b.parameters.keys() for a, b in pairs)
        told = f"{taken} of {len(now.state.experts)} regions have a readout for their expert"
        return now.state, (told,) if taken else ()


def selected(expert: Model, readouts: Parameters, sums: Parameters) -> Model:
    """The expert, or, if it is more often right on held-out samples, the readout with the least loss there; each at its
    best temperature."""
    best = 1 + int(sums["losses"][1:].amin(1).argmin())
    taken = best if sums["right"][best] > sums["right"][0] else 0
    parameters = _parameters(expert, readouts, taken)
    return Model(Expert(parameters).cooled(fitted_temperature(sums["losses"][taken])).parameters)


def nearest(expert: Model, readouts: Parameters, sums: Parameters) -> Model:
    """Of values, the expert or the readout with the least squared error on held-out samples, with that as variance."""
    if not float(sums["count"]):
        return expert
    taken = int(sums["losses"].argmin())
    outputs = readouts["head.bias"].shape[1]
    variance = 2 * float(sums["losses"][taken] / sums["count"]) / outputs
    return Model(_parameters(expert, readouts, taken), variance=max(LEAST_VARIANCE, variance))


def _parameters(expert: Model, readouts: Parameters, taken: int) -> Parameters:
    """Those of the expert, which comes first, or of one of the readouts."""
    return {name: t[taken - 1 : taken] for name, t in readouts.items()} if taken else expert.parameters


SIDE = Selection()
