"""Sweep: a grid of overrides, or a random part of it, each point on the same seeds.

Points are ranked by their score on samples held out inside the federation, as learning rates are searched in `compare`:
so nobody tunes on the test set, which is only shown beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from federation.randomness import generator
from federation.rules import InputError, nearest
from scenarios.reports.experiment_pictures import MOST, sweep_plot
from scenarios.reports.metric import Metric
from scenarios.reports.sheet import Column, Sheet, interval
from scenarios.runs.experiment import CHOOSES, Experiment, Result, by_seed, failures
from scenarios.runs.overrides import written
from scenarios.runs.simulate import SCORES
from scenarios.runs.statistics import mean_interval

Point = dict[str, Any]
"""A value for each field that is swept."""


@dataclass(frozen=True)
class Sweep:
    """Fields with the values that they take, and the experiment whose variants are the points, by name."""

    fields: Mapping[str, Sequence[Any]]
    points: Mapping[str, Point]
    experiment: Experiment

    @staticmethod
    def of(reference: str, fields: Mapping[str, Sequence[Any]], some: int | None, seeds: Sequence[int]) -> "Sweep":
        """From all values of each field; a field with one value is the same in all points.

        Args:
            some: number of points drawn at random; the whole grid without it.
        Raises:
            InputError: no field has several values, or a point is no valid scenario.
        """
        swept = {field: list(values) for field, values in fields.items() if len(values) > 1}
        if not swept:
            raise InputError(
                "nothing to sweep; give a field several values, such as --set local.learning_rate=0.05,0.1"
            )
        points = {named(point): point for point in drawn(swept, some, seeds[0])}
        fixed = {field: values[0] for field, values in fields.items() if field not in swept}
        return Sweep(swept, points, Experiment.of(reference, fixed, points, seeds))

    def dump(self) -> dict[str, Any]:
        """Plain data, from which `load` makes the same sweep."""
        return {"fields": self.fields, "points": self.points, **self.experiment.dump()}

    @staticmethod
    def load(data: Mapping[str, Any]) -> "Sweep":
        """The inverse of `dump`."""
        return Sweep(data["fields"], data["points"], Experiment.load(data))


def drawn(fields: Mapping[str, Sequence[Any]], some: int | None, seed: int) -> list[Point]:
    """The points of the grid, the last field changing fastest; or some of them, drawn without return, in that order."""
    sizes = [len(values) for values in fields.values()]
    size = prod(sizes)
    whole = some is None or some >= size
    numbers = np.arange(size) if whole else np.sort(generator(seed, "sweep").choice(size, some, replace=False))
    places = zip(*np.unravel_index(numbers, sizes), strict=True)
    return [{field: values[n] for (field, values), n in zip(fields.items(), place, strict=True)} for place in places]


def named(point: Point) -> str:
    """A point as `--set` takes it."""
    return " ".join(f"{field}={written(value)}" for field, value in point.items())


def check_score(name: str) -> str:
    """The name of a score of `simulate`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in SCORES:
        raise InputError(f"unknown score {name!r}; {nearest(name, list(SCORES))}")
    return name


def summarised(sweep: Sweep, results: Sequence[Result]) -> dict[str, Any]:
    """What `sweep.json` holds: all points, best first, those with failures after the others.

    Raises:
        RuntimeError: all trials failed.
    """
    scores, seeds = by_seed(results), sweep.experiment.seeds
    rows: list[dict[str, Any]] = []
    for name, point in sweep.points.items():
        known = {score: [v for v in values[name] if v is not None] for score, values in scores.items()}
        means = {score: {**mean_interval(v), "per_seed": scores[score][name]} for score, v in known.items() if v}
        rows.append({"overrides": point, "finished": len(known[CHOOSES]), "scores": means})
    if not any(row["finished"] for row in rows):
        raise RuntimeError(f"all trials failed; {failures(results)[0]}")
    rows.sort(key=lambda row: (-row["finished"], -row["scores"].get(CHOOSES, {"mean": 0.0})["mean"]))
    return {
        "scenario": sweep.experiment.scenario.name,
        "metric": sweep.experiment.metric,
        "seeds": list(seeds),
        "fields": {field: list(values) for field, values in sweep.fields.items()},
        "chosen_by": CHOOSES,
        "points": rows,
        "failed": failures(results),
    }


def sheet(result: Mapping[str, Any], title: str, shown: str) -> Sheet:
    """The table and the picture of `sweep.json`, with one score beside the one that chooses."""
    metric, seeds, pair = Metric(result["metric"]), len(result["seeds"]), list(dict.fromkeys((CHOOSES, shown)))
    fields = {field: [written(value) for value in values] for field, values in result["fields"].items()}
    rows, points = [], []
    for row in result["points"]:
        values, scores = {f: written(row["overrides"][f]) for f in fields}, row["scores"]
        cells = [interval(scores[name], metric.value) if name in scores else "" for name in pair]
        rows.append([*values.values(), *cells, f"{row['finished']} of {seeds}"])
        if all(name in scores for name in pair):
            points.append({"values": values, "scores": scores})
    best = named(result["points"][0]["overrides"])
    return Sheet(
        heading=f"{title}: sweep",
        about=f"Scenario {result['scenario']}, {len(rows)} points; seeds: {', '.join(map(str, result['seeds']))}. "
        f"Best on held-out samples: {best}",
        columns=[Column(f, number=False) for f in fields] + [Column(n.replace("_", " ")) for n in (*pair, "trials")],
        rows=rows,
        picture=sweep_plot(points, list(fields.items()), pair, metric),
        caption="Means over seeds, with 95 % intervals where there are several. Points are ranked on samples held out "
        f"inside the federation; {shown} is only shown. Of three fields or more, the best {MOST} points are drawn.",
        notes=result["failed"],
    )
