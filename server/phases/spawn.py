"""A region more, for what no region knows."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from federation.learning.fixed_point import Watch
from federation.manifold import Chart
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, count
from federation.wire.contribution import Contribution
from server.bounds import Answer
from server.phases.charting import check_chart
from server.phases.contract import Kind, Now, ServerSide, Told
from server.settling import expert_begun
from server.state import Model, ServerState
from server.telling import chart_tensors


class Spawn(ServerSide):
    """Sends charts and what is known, and makes a region of the novel samples' charts."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return int(scenario.novelty.spawn_at is not None)

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(chart_tensors(now.state, now.scenario) | now.state.known)

    def again(self, now: Now, kind: Kind) -> Told:
        """What the charts said before the region spawned."""
        state, rule = now.state, now.scenario.router.rule
        assert state.atlas is not None
        known = range(state.atlas.regions - 1)
        before = replace(state, atlas=state.atlas.part(known), router=rule.part(state.router, known))
        told = self.told(now.after(before), kind)
        return Told(told.tensors, {"regions": len(known)})

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return set(clients)

    def check(self, now: Now, who: str, sums: Parameters, answer: Answer) -> None:
        assert now.state.encoder is not None
        latent = now.state.encoder(torch.zeros(1, *now.task.input_shape)).shape[1]
        check_chart(who, sums, latent, now.scenario.charts, now.task)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        novel = {client: Chart.from_sums(total.sums.get(client, {})) for client in total.clients}
        found = {client: chart for client, chart in novel.items() if chart.components}
        return spawned(now.state, found, now.scenario, now.task)


def spawned(state: ServerState, found: Mapping[int, Chart], scenario: Scenario, task: Task) -> ServerState:
    """A region more for what clients found novel, if that is enough and growth has a budget for it; all other regions
    stay bit by bit.

    Its expert begins as a copy of the one whose region is nearest to its mean (or, of its own classes alone, from the
    prior), and its gate with the posterior alone. A client that was never charted belongs to it.

    Args:
        found: charts of novel samples, by client.
    """
    assert state.atlas is not None
    chart, enough = sum((found[client] for client in sorted(found)), Chart()), scenario.novelty.spawn_at
    if enough is None or not chart.components or chart.whole.count < enough:
        return state
    before, atlas = state.atlas, state.atlas.with_region(chart, scenario.charts)
    new, own = before.regions, torch.tensor(sorted(chart.components)) if scenario.experts.own_classes else None
    nearest = int(before.scores(chart.whole.mean[None].float()).argmax())
    size, copy = state.sizes[nearest], state.experts[nearest].parameters
    expert = copy if own is None else expert_begun(state, new, own, size, scenario, task)
    if not scenario.growth.affords(state.parameters + count(expert)):
        return state
    late = [client for client in found if not state.charts[client].components]
    heavier = float(atlas.log_weight.logsumexp(0) - before.log_weight.logsumexp(0))
    return replace(
        state,
        charts=tuple(found[client] if client in late else kept for client, kept in enumerate(state.charts)),
        region_of_client=tuple(new if client in late else r for client, r in enumerate(state.region_of_client)),
        atlas=atlas,
        experts=(*state.experts, Model(expert, scenario.aggregation.init(expert))),
        sizes=(*state.sizes, size),
        classes=(*state.classes, own),
        coordinates=(*state.coordinates, *state.coordinates[nearest : nearest + 1]),
        watches=(*state.watches, Watch()),
        router=scenario.router.rule.with_region(state.router, before.mean.shape[1], new),
        novelty_threshold=state.novelty_threshold + heavier,  # the same samples are novel, but for those of the region
        pioneers=tuple(sorted(found)),
    )


SIDE = Spawn()
