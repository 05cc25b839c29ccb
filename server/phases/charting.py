"""The clients' charts under each encoder in question, and the regions that are formed from them."""

from collections.abc import Collection
from dataclasses import replace

import torch

from federation.manifold import Chart
from federation.manifold.dimension import SPACING
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, Shapes, shapes, under
from federation.wire.contribution import Contribution
from federation.world.predictors import OwnTensors, Predictor
from server.phases.contract import Kind, Now, ServerSide, Told
from server.settling import settled
from server.state import Charted, ServerState, world_model
from server.telling import encoder_tensors


class Charting(ServerSide):
    """Sends the encoders in question. Where there is one, the regions and their experts are settled."""

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(encoder_tensors(now.state, now.scenario))

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return set(clients)

    def check(self, now: Now, who: str, sums: Parameters, answer: Shapes) -> None:
        encoders = now.state.encoders
        for number, encoder in enumerate(encoders):
            found = shapes(under(str(number), sums))
            check_chart(who, found, encoder(torch.zeros(1, *now.task.input_shape)).shape[1])
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


def check_chart(who: str, found: Shapes, latent: int) -> None:
    """count/c is one number, sum/c a vector of encoder space, second/c a square of it; the spacing is two numbers.

    Raises:
        ValueError: something else is there.
    """
    wanted: Shapes = {"count": (), "sum": (latent,), "second": (latent, latent)}
    for name, shape in found.items():
        if name in SPACING and shape == ():
            continue
        kind, _, label = name.partition("/")
        if not label.isdigit() or shape != wanted.get(kind):
            raise ValueError(f"{who}: {name} of its chart is {list(shape)}, expected {list(wanted.get(kind, ()))}")


def _charts(total: Contribution, encoder: int, clients: int) -> tuple[Chart, ...]:
    """Every client's chart under one of the encoders; an empty one of a client that sent none."""
    sums = (total.sums.get(number, {}) for number in range(clients))
    return tuple(Chart.from_sums(under(str(encoder), own)) for own in sums)


SIDE = Charting()
