"""What a round's sums make of the server's state: one pure step a stage."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import torch
from torch import Tensor

from federation.composition import candidates, chosen, usable
from federation.confidence import Calibration, fitted_calibration, fitted_temperature
from federation.context import chosen_context
from federation.contribution import Contribution, coverage_mean
from federation.experts import Expert, trunk_of
from federation.fixed_point import Watch
from federation.least_squares import refitted, sums_of
from federation.manifold import Chart, Encoder
from federation.novelty import novelty_threshold
from federation.records import KNOWN, LABELS, Stage
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, stacked, under
from server.history import residual_variance
from server.state import Charted, Model, ServerState, settled, spawned, unread


def advanced(
    state: ServerState, stage: Stage, total: Contribution, scenario: Scenario, task: Task, clients: int
) -> ServerState:
    """The next state from one round's sums."""
    everywhere = total.everywhere()
    match stage:
        case Stage.CENSUS:
            return replace(state, labels={LABELS: everywhere[LABELS]} if task.classifies else {})
        case Stage.PRIOR:
            return replace(state, prior=_aggregated(state.prior, everywhere, scenario, task))
        case Stage.ENCODER:
            trunk = trunk_of(scenario.model, state.prior.parameters)
            fits = [rule.fit(under(str(number), everywhere)) for number, rule in enumerate(scenario.encoders)]
            pairs = zip(scenario.encoders, fits, strict=True)
            return replace(state, encoders=tuple(Encoder(rule, weights, trunk) for rule, weights in pairs))
        case Stage.CHARTING:
            found = tuple(
                Charted.of(encoder, _charts(total, number, clients), scenario)
                for number, encoder in enumerate(state.encoders)
            )
            if len(found) == 1:
                return settled(state, found[0], scenario, task)
            return replace(state, candidates=found)
        case Stage.CHOICE:
            best = int(everywhere["gain"].amax(1).argmax())
            return settled(state, state.candidates[best], scenario, task)
        case Stage.EXPERTS | Stage.COUPLING | Stage.GROWTH:
            experts, watches = list(state.experts), list(state.watches)
            for region, sums in total.sums.items():
                experts[region] = _aggregated(state.experts[region], sums, scenario, task)
                watches[region] = _watched(watches[region], state.experts[region], experts[region], sums, scenario)
            return replace(state, experts=tuple(experts), watches=tuple(watches))
        case Stage.READOUT:
            regions = range(len(state.experts))
            readouts = tuple(_readouts(r, total.sums.get(r, {}), state, scenario, task) for r in regions)
            return replace(state, readouts=readouts)
        case Stage.SELECTION:
            experts = list(state.experts)
            for region, sums in total.sums.items():
                experts[region] = _selected(experts[region], state.readouts[region], sums)
            return replace(state, experts=tuple(experts), readouts=())
        case Stage.REACH:
            shares = {number: sums["share"] for number, sums in total.sums.items()}
            return replace(
                state, reached={number: _reached(number, own, state, scenario) for number, own in shares.items()}
            )
        case Stage.LEAST_SQUARES:
            sums = {name: everywhere[name] for name in sums_of(state.head) if name in everywhere}
            return replace(state, head=refitted(state.head, sums, scenario.head.ridge), head_sums=sums)
        case Stage.HEAD:
            return replace(state, head=coverage_mean(everywhere, state.head), head_sums={})
        case Stage.ROUTER:
            return replace(state, router=coverage_mean(everywhere, state.router))
        case Stage.COMPOSITION:
            parts = usable(scenario.composition.parts, task)
            options = candidates(parts, scenario.composition.weights, task)
            return replace(state, composition=chosen(options, everywhere, scenario.composition.gain))
        case Stage.NOVELTY:
            return _judged(state, everywhere, scenario, task)
        case Stage.SPAWN:
            novel = {client: Chart.from_sums(total.sums.get(client, {})) for client in total.clients}
            return spawned(state, {n: chart for n, chart in novel.items() if chart.components}, scenario, task)
    return state


def _judged(state: ServerState, sums: Parameters, scenario: Scenario, task: Task) -> ServerState:
    """How far the regions reach, how sure the answers are, and what is made of context."""
    known, wanted = sums["count"], scenario.composition
    return replace(
        state,
        novelty_threshold=novelty_threshold(sums, scenario.novelty.quantile),
        known={KNOWN: known},
        calibration=fitted_calibration(sums["calibration"], task.outputs) if task.classifies else Calibration(),
        context=chosen_context(sums["context"], float(known.sum()), wanted.gain, task, wanted.context_router),
    )


def _readouts(region: int, sums: Parameters, state: ServerState, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    """The readouts of a region, one for each ridge along their first axis."""
    assert scenario.experts.readout is not None
    empty = unread(region, state, scenario, task)
    sums = {name: sums[name] for name in sums_of(empty) if name in sums}
    return stacked([refitted(empty, sums, ridge) for ridge in scenario.experts.readout.ridges])


def _selected(expert: Model, readouts: Parameters, sums: Parameters) -> Model:
    """The expert, or, if it is more often right on held-out samples, the readout with the least loss there; each at its
    best temperature."""
    best = 1 + int(sums["losses"][1:].amin(1).argmin())
    taken = best if sums["right"][best] > sums["right"][0] else 0
    parameters = {name: t[best - 1 : best] for name, t in readouts.items()} if taken else expert.parameters
    return Model(Expert(parameters).cooled(fitted_temperature(sums["losses"][taken])).parameters)


def _reached(client: int, share: Tensor, state: ServerState, scenario: Scenario) -> tuple[int, ...]:
    """The regions whose experts a client downloads: its own, and those that its samples reach."""
    own = state.region_of_client[client]
    return tuple(r for r, part in enumerate(share.tolist()) if r == own or part >= scenario.router.reach)


def _charts(total: Contribution, encoder: int, clients: int) -> tuple[Chart, ...]:
    """Every client's chart under one of the encoders; an empty one of who sent none."""
    sums = (total.sums.get(number, {}) for number in range(clients))
    return tuple(Chart.from_sums(under(str(encoder), own)) for own in sums)


def _aggregated(model: Model, sums: Parameters, scenario: Scenario, task: Task) -> Model:
    variance = residual_variance(sums, task)
    rule, parameters = scenario.aggregation, model.parameters
    return Model(*rule.apply(model.rule, parameters, sums), model.variance if variance is None else variance)


def _watched(watch: Watch, before: Model, after: Model, sums: Parameters, scenario: Scenario) -> Watch:
    """What a round says of how near a model is to its fixed point."""
    probed = float(sums.get("metric/probed", 0))
    divergence = float(sums["metric/divergence"]) / probed if probed else inf
    return watch.seen(_moved([(before.parameters, after.parameters)]), divergence, scenario.fixed_point)


def residual(before: ServerState, after: ServerState, stage: Stage) -> float | None:
    """||Phi(theta) - theta|| / ||theta|| over all coordinates that the stage trains (eq. 23)."""
    if stage is Stage.PRIOR:
        pairs = [(before.prior.parameters, after.prior.parameters)]
    elif stage in (Stage.EXPERTS, Stage.COUPLING, Stage.GROWTH):
        pairs = [(old.parameters, new.parameters) for old, new in zip(before.experts, after.experts, strict=True)]
    else:
        return None
    return _moved(pairs)


def _moved(pairs: Sequence[tuple[Parameters, Parameters]]) -> float:
    """||new - old|| / ||old|| over all coordinates of all models."""
    moved = sum(float((new[name] - old[name]).double().square().sum()) for old, new in pairs for name in old)
    size = sum(float(tensor.double().square().sum()) for old, _ in pairs for tensor in old.values())
    return float(torch.tensor(moved / max(size, 1e-30)).sqrt())
