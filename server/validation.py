"""What comes from the network is checked against what was asked, before any arithmetic."""

import torch

from federation.composition import PARTS, candidates
from federation.contribution import WEIGHT, Contribution
from federation.manifold.dimension import SPACING
from federation.models import Size
from federation.models.family import FULL
from federation.novelty import BINS
from federation.records import LABELS, Stage
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, shapes
from server.schedule import ELASTIC
from server.state import ServerState

Shape = tuple[int, ...]


def check(contribution: Contribution, stage: Stage, state: ServerState, scenario: Scenario, task: Task) -> None:
    """Refuse sums that do not fit.

    Raises:
        ValueError: a sum is missing, of the wrong shape, or not finite; the text names the clients.
    """
    who = "client " + ", ".join(map(str, contribution.clients[:3]))
    if not contribution.finite():
        raise ValueError(f"{who}: NaN or infinity in its sums")
    sizes = {scenario.sizes.of(contribution.clients[0], scenario.seed), FULL}  # a newcomer's own is not known yet
    options = [expected_shapes(stage, state, scenario, task, size) for size in sizes]
    for region, sums in contribution.sums.items():
        misfits = min((_misfits(sums, expected) for expected in options), key=len)
        if misfits:
            name, got, shape = misfits[0]
            raise ValueError(f"{who}: {name} of region {region} is {got}, expected {list(shape)}")
        if stage in (Stage.CHARTING, Stage.SPAWN) and state.encoder is not None:
            latent = state.encoder(torch.zeros(1, *task.input_shape)).shape[1]
            _check_chart(who, shapes(sums), latent)


def _misfits(sums: Parameters, expected: dict[str, Shape]) -> list[tuple[str, object, Shape]]:
    """Name, shape (or nothing) and expected shape of each sum that does not fit."""
    got = {name: list(sums[name].shape) if name in sums else "nothing" for name in expected}
    return [(name, got[name], shape) for name, shape in expected.items() if got[name] != list(shape)]


def expected_shapes(
    stage: Stage, state: ServerState, scenario: Scenario, task: Task, size: Size = FULL
) -> dict[str, Shape]:
    """Shapes that the sums of a stage must have; a chart's depend on the labels that a client holds."""
    match stage:
        case Stage.ENCODER:
            sums = scenario.encoder.moments(torch.zeros(1, *task.input_shape))
            return shapes(sums) | ({LABELS: (task.outputs,)} if task.classifies else {})
        case Stage.EVIDENCE:
            return {"ready": ()}
        case Stage.COMPOSITION:
            parts = [part for part in PARTS if task.classifies or part in ("mixture", "prior")]
            options = len(candidates(parts, scenario.composition.weights, task))
            return {"loss": (options,), "correct": (options,), "count": ()}
        case Stage.NOVELTY:
            return {"count": (BINS,), "composition": (BINS,), "generalist": (BINS,)}
        case Stage.CHARTING | Stage.SPAWN:
            return {}
    if stage in ELASTIC:
        model = scenario.model.shapes(task, size)
    else:
        model = shapes(state.head if stage is Stage.HEAD else state.router)
    return model | {f"{WEIGHT}/{name}": () for name in model}


def _check_chart(who: str, found: dict[str, Shape], latent: int) -> None:
    """count/c is one number, sum/c a vector of encoder space, second/c a square of it; the spacing is two numbers."""
    wanted: dict[str, Shape] = {"count": (), "sum": (latent,), "second": (latent, latent)}
    for name, shape in found.items():
        if name in SPACING and shape == ():
            continue
        kind, _, label = name.partition("/")
        if not label.isdigit() or shape != wanted.get(kind):
            raise ValueError(f"{who}: {name} of its chart is {list(shape)}, expected {list(wanted.get(kind, ()))}")
