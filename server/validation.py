"""What comes from the network is checked against what was asked, before any arithmetic."""

from collections.abc import Collection, Mapping, Sequence

import torch

from federation.composition import candidates, usable
from federation.confidence import PRODUCTS, TEMPERATURES
from federation.context import context_shape
from federation.contribution import EVERYWHERE, WEIGHT, Contribution
from federation.experts import Expert, specialised, trunk_of
from federation.least_squares import sums_of
from federation.manifold.atlas import FACTORS
from federation.manifold.dimension import SPACING
from federation.models import Size
from federation.models.family import FULL
from federation.novelty import BINS
from federation.records import LABELS, Stage
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, shapes, under
from server.schedule import ELASTIC
from server.state import ServerState, unread

Shape = tuple[int, ...]

CHARTS = (Stage.CHARTING, Stage.SPAWN)
"""Stages in which the names of the sums depend on a client's classes."""

METRICS = ("metric/loss", "metric/visited", "metric/multiplies", "metric/divergence", "metric/probed", "metric/moved")
"""One number each, that come beside a model; all but the loss count something."""

MOST_SAMPLES, LARGEST = 1e9, 1e6
"""Bounds of the samples of a reply, and of the weights of a model, far beyond any that were ever of use."""


def check(contribution: Contribution, stage: Stage, state: ServerState, scenario: Scenario, task: Task) -> None:
    """Refuse sums that do not fit.

    Raises:
        ValueError: a sum is missing, of the wrong shape, or not finite; the text names the clients.
    """
    who = "client " + ", ".join(map(str, contribution.clients[:3]))
    if any(tensor.is_complex() for sums in contribution.sums.values() for tensor in sums.values()):
        raise ValueError(f"{who}: complex numbers in its sums")
    if not contribution.finite():
        raise ValueError(f"{who}: NaN or infinity in its sums")
    if strange := contribution.sums.keys() - _regions(contribution, stage, state):
        raise ValueError(f"{who}: sums of region {min(strange)}, may send them of its own alone")
    for region, sums in contribution.sums.items():
        sizes = _sizes(region, contribution.clients[0], stage, state, scenario)
        options = [expected_shapes(stage, state, scenario, task, size, region) for size in sizes]
        misfits = min((_misfits(sums, expected) for expected in options), key=len)
        if misfits:
            name, got, shape = misfits[0]
            raise ValueError(f"{who}: {name} of region {region} is {got}, expected {list(shape)}")
        if stage not in CHARTS:
            _check_values(who, sums, options[0])
        if stage is Stage.CHARTING:
            _check_charts(who, sums, state, task)
        if stage is Stage.SPAWN and state.encoder is not None:
            _check_chart(who, shapes(sums), state.encoder(torch.zeros(1, *task.input_shape)).shape[1])


def check_sender(
    clients: Sequence[int], nodes: Sequence[int], sender: int, node_of: Mapping[int, int], online: Collection[int]
) -> None:
    """Refuse a deployed node that speaks for another: each answers for one client, always the same.

    Only where its node has left may a client come from another one.

    Args:
        sender: the node that was asked.
        node_of: the node of each client that has answered before.
        online: nodes that are there.
    Raises:
        ValueError: the reply names several clients, another node, or somebody else's client.
    """
    if len(clients) != 1 or list(nodes) != [sender]:
        raise ValueError(f"node {sender}: answers for clients {list(clients)} of nodes {list(nodes)}, may for its own")
    (client,) = clients
    owner = node_of.get(client, sender)
    if owner != sender and owner in online:
        raise ValueError(f"node {sender}: answers for client {client}, which is node {owner}'s")
    if other := [number for number, node in node_of.items() if node == sender and number != client]:
        raise ValueError(f"node {sender}: answers for client {client}, but is client {other[0]}")


def check_weights(contribution: Contribution, stage: Stage, samples: dict[int, float]) -> None:
    """Hold a deployed client to the number of samples that its census told, which is noted in `samples`.

    Raises:
        ValueError: its model weighs more.
    """
    (client,) = contribution.clients
    everywhere = contribution.everywhere()
    if stage is Stage.CENSUS and "samples" in everywhere:
        samples[client] = float(everywhere["samples"])
        return
    for sums in contribution.sums.values():
        weights = [float(tensor) for name, tensor in sums.items() if name.startswith(f"{WEIGHT}/")]
        if weights and max(weights) > samples.get(client, MOST_SAMPLES):
            told = samples[client]
            raise ValueError(f"client {client}: its model weighs {max(weights):g} samples, its census told {told:g}")


def _regions(contribution: Contribution, stage: Stage, state: ServerState) -> set[int]:
    """Under what the clients of a contribution may send sums."""
    if stage in (Stage.CHARTING, Stage.REACH, Stage.SPAWN):
        return set(contribution.clients)
    if stage in (Stage.EXPERTS, Stage.COUPLING, Stage.READOUT, Stage.SELECTION):
        return {state.region_of_client[client] for client in contribution.clients}
    return {len(state.experts) - 1 if stage is Stage.GROWTH else EVERYWHERE}


def _sizes(region: int, client: int, stage: Stage, state: ServerState, scenario: Scenario) -> set[Size]:
    """The sizes of which a client's model may be: its own, or all of it, for a newcomer's own is not known yet."""
    if stage not in ELASTIC or not EVERYWHERE <= region < len(state.sizes):
        return {FULL}
    return {state.size(region, client, scenario), FULL}


def _check_values(who: str, sums: Parameters, expected: Collection[str]) -> None:
    """Refuse sums that nobody asked for, weights that are none, and models out of all bounds."""
    for name, tensor in sums.items():
        if name not in expected and (name not in METRICS or tensor.dim()):
            raise ValueError(f"{who}: {name} {list(tensor.shape)} was not asked for")
        counts = name.startswith("metric/") and name != METRICS[0]
        if counts and (least := float(tensor.min())) < 0:
            raise ValueError(f"{who}: {name} is {least:g}, expected no less than 0")
        if f"{WEIGHT}/{name}" in sums:
            weight = float(sums[f"{WEIGHT}/{name}"])
            if not 0 <= weight <= MOST_SAMPLES:
                raise ValueError(f"{who}: its weight is {weight:g}, expected its samples, at most {MOST_SAMPLES:g}")
            if tensor.numel() and float(tensor.abs().max()) > weight * LARGEST:
                raise ValueError(f"{who}: {name} holds weights beyond {LARGEST:g}")


def _misfits(sums: Parameters, expected: dict[str, Shape]) -> list[tuple[str, object, Shape]]:
    """Name, shape (or nothing) and expected shape of each sum that does not fit."""
    got = {name: list(sums[name].shape) if name in sums else "nothing" for name in expected}
    return [(name, got[name], shape) for name, shape in expected.items() if got[name] != list(shape)]


def expected_shapes(
    stage: Stage,
    state: ServerState,
    scenario: Scenario,
    task: Task,
    size: Size = FULL,
    region: int = EVERYWHERE,
) -> dict[str, Shape]:
    """Shapes that the sums of a stage must have; a chart's depend on the labels that a client holds.

    Args:
        region: whose model the stage trains.
    Raises:
        ValueError: there is no such region.
    """
    match stage:
        case Stage.CENSUS:
            return {"samples": ()} | ({LABELS: (task.outputs,)} if task.classifies else {})
        case Stage.ENCODER:
            trunk = trunk_of(scenario.model, state.prior.parameters)
            return shapes(scenario.moments(torch.zeros(1, *task.input_shape), trunk))
        case Stage.CHOICE:
            return {"gain": (len(state.candidates), len(FACTORS)), "count": ()}
        case Stage.READOUT:
            return sums_of(unread(region, state, scenario, task))
        case Stage.SELECTION:
            tried = 1 + len(state.readouts[region]["head.bias"])
            return {"right": (tried,), "losses": (tried, len(TEMPERATURES))}
        case Stage.REACH:
            return {"share": (len(state.experts),)}
        case Stage.EVIDENCE:
            return {"ready": ()}
        case Stage.LEAST_SQUARES:
            return sums_of(state.head)
        case Stage.COMPOSITION:
            tried = len(candidates(usable(scenario.composition.parts, task), scenario.composition.weights, task))
            return {"loss": (tried,), "correct": (tried,), "count": ()}
        case Stage.NOVELTY:
            sums: dict[str, Shape] = dict.fromkeys(("count", "composition", "generalist"), (BINS,))
            sums |= {"calibration": (len(TEMPERATURES), PRODUCTS)} if task.classifies else {}
            return sums | {"context": context_shape(task)}
        case Stage.CHARTING | Stage.SPAWN:
            return {}
    if stage in ELASTIC:
        if not (stage is Stage.PRIOR or 0 <= region < len(state.experts)):
            raise ValueError(f"a model of region {region}, of {len(state.experts)}")
        expert = Expert(state.prior.parameters) if stage is Stage.PRIOR else state.expert(region)
        family, own = specialised(scenario.model, task, expert.outputs, expert.members)
        model = shapes(family.slice(expert.parameters, own, size))
        units = _units(family.layers(own), expert.members) if scenario.plasticity.samples else {}
        return model | {f"{WEIGHT}/{name}": () for name in model} | units
    model = shapes(state.head if stage is Stage.HEAD else state.router)
    return model | {f"{WEIGHT}/{name}": () for name in model}


def _units(layers: Mapping[str, int], members: int) -> dict[str, Shape]:
    """Sums of what the hidden units of all members say, layer by layer."""
    return {f"metric/{what}/{layer}": (members, units) for layer, units in layers.items() for what in ("awake", "seen")}


def _check_charts(who: str, sums: Parameters, state: ServerState, task: Task) -> None:
    """A chart for each encoder in question, and nothing else."""
    for number, encoder in enumerate(state.encoders):
        _check_chart(who, shapes(under(str(number), sums)), encoder(torch.zeros(1, *task.input_shape)).shape[1])
    if strange := [name for name in sums if name.split("/")[0] not in map(str, range(len(state.encoders)))]:
        raise ValueError(f"{who}: {strange[0]} is a chart under no encoder in question")


def _check_chart(who: str, found: dict[str, Shape], latent: int) -> None:
    """count/c is one number, sum/c a vector of encoder space, second/c a square of it; the spacing is two numbers."""
    wanted: dict[str, Shape] = {"count": (), "sum": (latent,), "second": (latent, latent)}
    for name, shape in found.items():
        if name in SPACING and shape == ():
            continue
        kind, _, label = name.partition("/")
        if not label.isdigit() or shape != wanted.get(kind):
            raise ValueError(f"{who}: {name} of its chart is {list(shape)}, expected {list(wanted.get(kind, ()))}")
