"""The report of a comparison: one self-contained HTML file, drawn from two JSON files and nothing else."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from jinja2 import Environment
from numpy.typing import NDArray

from federation.data import UNKNOWN_CLIENT, FederatedData
from federation.world_model import WorldModel
from scenarios import pictures
from scenarios.baselines import METHODS
from scenarios.compare import Comparison
from scenarios.display import readable
from scenarios.runs import versions

ROUTED = 2_000
"""Union samples whose routes are drawn."""


def gather(comparison: Comparison) -> dict[str, Any]:
    """What the pictures need beside `comparison.json`, as plain data: of the first seed."""
    opened, world = comparison.first, comparison.world.outcome.world
    federation, seed = opened.federation(), comparison.seeds[0]
    return {
        "title": opened.scenario.title,
        "clients": len(federation.clients),
        "curves": {name: comparison.of(name)[0].contender.curve for name in comparison.methods},
        "atlas": _atlas(world, federation, seed),
        "routing": _routing(world, federation),
        "rounds": [record.dump() for record in comparison.world.outcome.history],
        "novelty_threshold": world.design.novelty_threshold,
        "configuration": opened.scenario.dump(),
        "versions": versions(),
    }


def render(comparison: Mapping[str, Any], gathered: Mapping[str, Any]) -> str:
    """The HTML page."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["readable"] = readable
    template = environment.from_string(files("scenarios").joinpath("report.html.j2").read_text(encoding="utf-8"))
    metric = comparison["metric"]
    lines = {name: points for name, points in gathered["curves"].items() if len(points) > 1}
    return template.render(
        c=comparison,
        g=gathered,
        titles={name: method.title for name, method in METHODS.items()},
        verdicts=[_verdict(name, row) for name, row in comparison["union"].items() if name != "world"],
        parts=_parts(comparison["composition"]),
        pictures={
            "union": pictures.scores(comparison["union"], metric),
            "local": pictures.scores(_numbers(comparison["local"]), metric),
            "curves": pictures.curves(lines, metric),
            "atlas": pictures.atlas(**gathered["atlas"]),
            "routing": pictures.confusion(gathered["routing"]["matrix"], gathered["routing"]["rows"]),
            "rounds": pictures.rounds(gathered["rounds"]),
        },
    )


def _atlas(world: WorldModel, federation: FederatedData, seed: int) -> dict[str, Any]:
    """Place, size, name and overlaps of each region."""
    atlas, regions = world.atlas, world.design.regions
    weight = atlas.log_weight.exp()
    sizes = torch.zeros(regions, dtype=torch.float64).index_add(0, atlas.region, weight)
    sums = torch.zeros(regions, atlas.mean.shape[1], dtype=torch.float64)
    means = sums.index_add(0, atlas.region, weight[:, None] * atlas.mean) / sizes.clamp_min(1)[:, None]
    centred = means - means.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    plane = torch.zeros(regions, 2, dtype=torch.float64)
    plane[:, : min(2, len(axes))] = centred @ axes[:2].T
    return {
        "places": plane.tolist(),
        "sizes": sizes.tolist(),
        "names": _region_names(world, federation),
        "overlaps": atlas.overlaps(seed).tolist(),
    }


def _region_names(world: WorldModel, federation: FederatedData) -> list[str]:
    """The number of each region, with the kind of its clients where kinds are known."""
    home, several = np.array(world.design.region_of_client), len(federation.domain_names) > 1
    names = []
    for region in range(world.design.regions):
        members = federation.client_domain[home == region]
        kind = federation.domain_names[int(np.bincount(members).argmax())] if several and len(members) else ""
        names.append(f"{region} {kind}".strip())
    return names


def _routing(world: WorldModel, federation: FederatedData) -> dict[str, Any]:
    """Mean gates by true region; samples of strangers share a row of their own."""
    count = min(ROUTED, len(federation.union_test))
    rows = np.linspace(0, len(federation.union_test) - 1, count).astype(np.int64)
    gate = world.route(federation.union_test.inputs[torch.from_numpy(rows)]).numpy()
    owner: NDArray[np.int64] = federation.union_client[rows]
    home = np.array(world.design.region_of_client)
    truth = np.where(owner == UNKNOWN_CLIENT, world.design.regions, home[owner])
    names = [*_region_names(world, federation), "strangers"]
    seen = [region for region in range(world.design.regions + 1) if (truth == region).any()]
    return {"matrix": [gate[truth == r].mean(0).tolist() for r in seen], "rows": [names[r] for r in seen]}


def _verdict(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """One rival in words: ahead, behind, or not told apart."""
    difference = -row["minus_world"]["mean"]
    interval = row["minus_world"]["ci95"]
    sure = interval is not None and (interval[0] > 0 or interval[1] < 0)
    word = "ahead of" if difference > 0 else "behind"
    return {"name": name, "difference": difference, "interval": interval, "word": word, "sure": sure}


def _parts(composition: Mapping[str, float]) -> str:
    """Which parts answer, and which were left out."""
    used = [f"{part} (weight {weight:g})" for part, weight in composition.items() if weight > 0]
    idle = [part for part, weight in composition.items() if weight == 0]
    left = f"; left out, since they did not pay for themselves on held-out data: {', '.join(idle)}" if idle else ""
    return f"Answers are composed of {', '.join(used)}{left}."


def _numbers(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Rows whose scores are all numbers: a federation without local tests has none."""
    return {name: row for name, row in rows.items() if all(value == value for value in row["per_seed"])} or {
        "world": {"mean": 0.0, "ci95": None, "per_seed": [0.0]}
    }
