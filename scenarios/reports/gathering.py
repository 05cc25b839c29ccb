"""What the report of a comparison needs beside its scores, of the first seed's run: plain data that JSON can hold."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.samples import UNKNOWN_CLIENT, FederatedData
from federation.manifold import Atlas
from federation.world_model import WorldModel
from scenarios.reports.geometry import advice, shapes_of
from scenarios.runs.compare import Comparison
from scenarios.runs.fields import grid, measured
from scenarios.runs.folder import versions
from scenarios.runs.resting import resting
from server.history import RoundRecord

ROUTED_SAMPLES = 2_000
"""Union samples whose gates are drawn, at most."""


def gather(comparison: Comparison) -> dict[str, Any]:
    """What the report needs beside `comparison.json`, of the first seed's run: plain data that JSON can hold."""
    scenario, federation = comparison.first.scenario, comparison.first.federation()
    assert comparison.world is not None
    outcome = comparison.world.outcome
    curves = {s.method: s.contender.curve for s in comparison.scores if s.seed == scenario.seed}
    places, shares = _regions(outcome.world, federation)
    overlaps = outcome.world.atlas.overlaps(scenario.seed)
    shapes = shapes_of(outcome, overlaps)
    regions = [{**place, **shape} for place, shape in zip(places, shapes, strict=True)]
    gathered = {
        "title": scenario.title,
        "seed": scenario.seed,
        "clients": len(federation.clients),
        "union_samples": len(federation.union_test),
        "curves": curves,
        "fields": _fields(comparison),
        "regions": regions,
        "shares": shares,
        "overlaps": overlaps.tolist(),
        "growth": advice(shapes),
        "routing": _routing(outcome.world, federation, [region["group"] for region in regions]),
        "rounds": [_round(record) for record in outcome.history],
        "resting": resting(outcome, scenario),
        "dormant": [
            (record.number, sum(own) / len(own), max(own), max(record.dormant, key=lambda r: record.dormant[r]))
            for record in outcome.history
            if (own := list(record.dormant.values()))
        ],
        "grown": [(record.number, list(record.grown), record.parameters) for record in outcome.history if record.grown],
        "composition": dict(outcome.world.design.composition),
        "novelty_threshold": outcome.world.design.novelty_threshold,
        "settings": scenario.dump(),
        "versions": versions(),
    }
    return {name: plain(value) for name, value in gathered.items()}


def _fields(comparison: Comparison) -> dict[str, Any]:
    """On each cell of the grid what was measured, the region that answers, and what each method answers; or nothing."""
    federation, run = comparison.first.federation(), comparison.world
    cells = grid(federation)
    if cells is None or run is None:
        return {}
    answers = {s.method: s.field for s in comparison.scores if s.seed == comparison.seeds[0] and s.field}
    regions = run.outcome.world.route(cells).argmax(1).tolist()
    return {"measured": measured(federation), "regions": regions, "methods": answers}


def _round(record: RoundRecord) -> dict[str, Any]:
    row = record.dump()
    kept = {name: row[name] for name in ("number", "phase", "loss", "residual", "answered", "seconds", "parameters")}
    return {**kept, "trained": record.loss is not None, "refused": len(record.refused)}


def _regions(world: WorldModel, federation: FederatedData) -> tuple[list[dict[str, Any]], list[float]]:
    """Place, size and group of each region, and the share of variance along the map's directions.

    A region without a chart has no place.
    """
    atlas, of_client = world.atlas, np.array(world.design.region_of_client)
    weight = atlas.log_weight.exp()
    samples = torch.zeros(atlas.regions, dtype=weight.dtype).index_add(0, atlas.region, weight)
    sums = torch.zeros(atlas.regions, atlas.mean.shape[1], dtype=weight.dtype)
    sums = sums.index_add(0, atlas.region, weight[:, None] * atlas.mean)
    charted = torch.nonzero(samples > 0).flatten()
    places, shares = _principal(sums[charted] / samples[charted, None])
    at = dict(zip(charted.tolist(), places.tolist(), strict=True))
    rows = []
    for region in range(atlas.regions):
        x, y = at.get(region, (None, None))
        row = {"region": region, "x": x, "y": y, "samples": float(samples[region])}
        rows.append({**row, "group": _group(region, atlas, federation, np.flatnonzero(of_client == region))})
    return rows, shares


def _principal(centres: Tensor) -> tuple[Tensor, list[float]]:
    """Centres along their two directions of most variance, and the share of variance along each.

    A direction has no sign of its own: the largest coordinate is made positive, so that equal runs have equal maps.
    """
    left, size, _ = torch.linalg.svd(centres - centres.mean(0), full_matrices=False)
    places = torch.nn.functional.pad(left * size, (0, 2))[:, :2]
    largest = places.gather(0, places.abs().argmax(0, keepdim=True))
    shares = torch.nn.functional.pad(size.square() / size.square().sum().clamp_min(1e-12), (0, 2))
    return places * torch.where(largest < 0, -1.0, 1.0), shares[:2].tolist()


def _group(region: int, atlas: Atlas, federation: FederatedData, members: NDArray[np.int64]) -> str:
    """The region's domain, where the data tell of several; else its most frequent label; else nothing."""
    if len(federation.domain_names) > 1 and len(members):
        sizes = [len(federation.clients[number].train) for number in members]
        domain = np.bincount(federation.client_domain[members], weights=sizes).argmax()
        return federation.domain_names[domain]
    own = torch.nonzero(atlas.region == region).flatten()
    if not federation.task.classifies or len(own) == 0 or len(set(atlas.label.tolist())) < 2:
        return ""
    return f"label {int(atlas.label[own[atlas.log_weight[own].argmax()]])}"


@torch.no_grad()
def _routing(world: WorldModel, federation: FederatedData, groups: Sequence[str]) -> dict[str, Any]:
    """Mean gate of each expert on the union samples of each true region; strangers' samples have a row of their own.

    Regions of one group stand next to each other, so that routing within a group shows as a block.
    """
    union = federation.union_test
    picked = np.unique(np.linspace(0, len(union) - 1, min(ROUTED_SAMPLES, len(union))).astype(np.int64))
    clients = federation.union_client[picked]
    truth = np.where(clients == UNKNOWN_CLIENT, -1, np.array(world.design.region_of_client)[clients])
    gates = world.route(union.inputs[torch.from_numpy(picked)]).numpy()
    order = sorted(range(len(groups)), key=lambda region: (len(groups[region]), groups[region], region))
    names = {region: f"{groups[region]}, region {region}".removeprefix(", ") for region in order} | {-1: "strangers"}
    rows = [region for region in (*order, -1) if (truth == region).any()]
    known = np.flatnonzero(truth >= 0)
    return {
        "rows": [names[region] for region in rows],
        "columns": [str(region) for region in order],
        "gates": [gates[truth == region].mean(0)[order].tolist() for region in rows],
        "samples": len(picked),
        "own": float(gates[known, truth[known]].mean()) if len(known) else None,
    }


def plain(value: Any) -> Any:
    """The same data with lists for tuples, and None for the numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value
