"""The clients' charts under each encoder in question, and the regions that are formed from them."""

from collections.abc import Collection
from dataclasses import replace

import torch

from federation.manifold import Chart, ChartRule
from federation.phases import Phase
from federation.rules import InputError
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, under
from federation.wire.contribution import Contribution
from federation.world.predictors import OwnTensors, Predictor
from server.bounds import Answer, check_moments
from server.phases.contract import Kind, Now, ServerSide, Told
from server.settling import settled
from server.state import Charted, ServerState, world_model
from server.telling import encoder_tensors


class Charting(ServerSide):
    """Sends the encoders in question. Where there is one, the regions and their experts are settled."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        if scenario.charts.clusters > 1 and scenario.charts.by_label and task.classifies:
            raise InputError("charts.clusters: charts by label have no clusters; set charts.by_label=false")
        return 1

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(encoder_tensors(now.state, now.scenario))

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return set(clients)

    def check(self, now: Now, who: str, sums: Parameters, answer: Answer) -> None:
        encoders = now.state.encoders
        for number, encoder in enumerate(encoders):
            latent = encoder(torch.zeros(1, *now.task.input_shape)).shape[1]
            check_chart(who, under(str(number), sums), latent, now.scenario.charts, now.task)
        if strange := [name for name in sums if name.split("/")[0] not in map(str, range(len(encoders)))]:
            raise ValueError(f"{who}: {strange[0]} is a chart under no encoder in question")

    def advance(self, now: Now, total: Contribution) -> ServerState:
        found = tuple(
            Charted.of(encoder, _charts(total, number, now.clients), now.scenario)
            for number, encoder in enumerate(now.state.encoders)
        )
        if len(found) == 1:
            return settled(now.state, found[0], now.scenario, now.task)
        return replace(now.state, candidates=found)

    def predictor(self, state: ServerState, scenario: Scenario, task: Task, own: OwnTensors) -> Predictor | None:
        """The world model, as far as it has come; none before the encoder is chosen."""
        return None if state.atlas is None else world_model(state, scenario, task)


def check_chart(who: str, sums: Parameters, latent: int, rule: ChartRule, task: Task) -> None:
    """Of each label (or cluster) that it holds, a chart has count/label, one number, sum/label, a vector of encoder
    space, and second/label, a square of it: moments of as many samples as it says.

    Raises:
        ValueError: something else is there, or no samples have such moments.
    """
    labels = range(task.outputs if task.classifies and rule.by_label else rule.clusters)
    known = {f"{part}/{label}" for label in labels for part in ("count", "sum", "second")}
    if strange := [name for name in sums if name not in known]:
        raise ValueError(f"{who}: {strange[0]} is no part of a chart of the labels 0 to {len(labels) - 1}")
    for label in sorted({name.rpartition("/")[2] for name in sums}):
        what = f"{who}: its chart of label {label}"
        parts = [sums.get(f"{part}/{label}") for part in ("count", "sum", "second")]
        count, total, second = parts
        if count is None or total is None or second is None:
            raise ValueError(f"{what} lacks count, sum or second")
        if (count.shape, total.shape, second.shape) != ((), (latent,), (latent, latent)):
            raise ValueError(f"{what} has another shape than {latent} dimensions")
        check_moments(what, float(count), total.double(), second.double(), rule.min_count)


def _charts(total: Contribution, encoder: int, clients: int) -> tuple[Chart, ...]:
    """Every client's chart under one of the encoders; an empty one of a client that sent none."""
    sums = (total.sums.get(number, {}) for number in range(clients))
    return tuple(Chart.from_sums(under(str(encoder), own)) for own in sums)


SIDE = Charting()
