"""The head that the server trains on draws from the clients' Gaussians."""

from collections.abc import Callable, Collection

import torch

from federation.data.samples import FederatedData
from federation.learning.descent import Descent
from federation.learning.draws import Draws
from federation.manifold import Chart, ChartRule
from federation.models import Mlp, Size
from federation.phases import Phase
from federation.phases.fedpft import Fedpft as Value
from federation.randomness import torch_generator
from federation.rules import InputError
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, single, under
from federation.wire.contribution import Contribution
from federation.world.predictors import EncodedModel, OwnTensors, Predictor
from server.bounds import METRICS, Answer, check_values, counts, no_less_than_zero
from server.global_model import kept
from server.phases.charting import check_chart
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import ServerState
from server.telling import encoder_tensors


class Fedpft(ServerSide):
    """Sends the encoder, and trains the head in the round in which the Gaussians come."""

    def holds(self, phase: Phase, scenario: Scenario, data: Callable[[], FederatedData]) -> Parameters:
        if not data().task.classifies:
            raise InputError("fedpft: real-valued targets have no classes whose features are Gaussian")
        if scenario.encoder.uses_prior:
            raise InputError("fedpft: the encoder reads a trunk that is still to be trained; set encoder.features")
        return {}

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(encoder_tensors(now.state, now.scenario))

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return set(clients)

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return {"metric/visited": counts(), "metric/multiplies": no_less_than_zero()}

    def check(self, now: Now, who: str, sums: Parameters, answer: Answer) -> None:
        chart = {name: tensor for name, tensor in sums.items() if name not in METRICS}
        check_values(who, {name: sums[name] for name in sums.keys() - chart.keys()}, answer)
        rule = ChartRule(min_count=now.scenario.charts.min_count)
        check_chart(who, chart, _codes(now.state, now.task).input_shape[0], rule, now.task)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        scenario, local, phase = now.scenario, now.scenario.local, now.scenario.phase(Value)
        family, codes = _head(now.state, scenario, now.task)
        epochs, rate = phase.budget * local.epochs, phase.learning_rate * local.learning_rate
        descent = Descent(epochs, rate, local.optimizer, local.clip, scenario.seed, (phase.name,))
        fresh = family.init(codes, torch_generator(scenario.seed, phase.name))
        *_, head = descent.models(fresh, family, codes, Draws(_charts(total), scenario.seed), codes.losses)
        return kept(now, head=single(head))

    def multiplies(self, now: Now, total: Contribution) -> float:
        family, codes = _head(now.state, now.scenario, now.task)
        drawn = sum(round(moments.count) for chart in _charts(total) for moments in chart.components.values())
        return now.scenario.phase(Value).budget * now.scenario.local.epochs * drawn * family.multiplies(codes)

    def predictor(self, state: ServerState, scenario: Scenario, task: Task, own: OwnTensors) -> Predictor | None:
        if not (head := under("head", state.own.get(Value.kind(), {}))):
            return None
        return EncodedModel(*_head(state, scenario, task), state.encoders[0], head)


def _charts(total: Contribution) -> list[Chart]:
    return [Chart.from_sums(total.sums[client]) for client in total.clients]


def _codes(state: ServerState, task: Task) -> Task:
    """The task that is left to the head."""
    codes = state.encoders[0](torch.zeros(1, *task.input_shape))
    return task.model_copy(update={"input_shape": tuple(codes.shape[1:])})


def _head(state: ServerState, scenario: Scenario, task: Task) -> tuple[Mlp, Task]:
    """The head's family and task: with the encoder it is as large as the scenario's model, but it has at least as many
    hidden units as there are classes."""
    codes, left = _codes(state, task), scenario.model.parameters(task) - state.encoders[0].parameters
    return Mlp(blocks=0).sized_to(codes, max(left, Mlp(blocks=0, width=task.outputs).parameters(codes))), codes


SIDE = Fedpft()
