"""Pictures of ablations and sweeps, in the style of a report's and drawn by the same means."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scenarios.reports.metric import Metric
from scenarios.reports.pictures import (
    BLUE,
    DOTS_MARGIN,
    DOTS_ROW,
    LIGHT,
    TEXT,
    VERMILLION,
    Look,
    Scores,
    dot_plot,
    draw_rows,
    inline,
    spread_out,
)

MOST = 40
"""Rows of a picture of dots."""

Point = Mapping[str, Any]
"""One point of a sweep: its `values`, as text by field, and its `scores`, each with its mean and interval."""

Axis = tuple[str, Sequence[str]]
"""A field that is swept, and all its values as text."""


def difference_plot(differences: Scores, metric: Metric) -> str:
    """Mean, 95 % interval and single seeds of each difference from zero, largest first."""
    told = ", ".join(f"{name} {metric.difference(row['mean'])}" for name, row in differences.items())

    def limits(values: Sequence[float]) -> tuple[float, float]:
        least, greatest = min(0.0, *values), max(0.0, *values)
        air = 0.06 * (greatest - least) or 0.01 * metric.scale
        return least - air, greatest + air

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=VERMILLION, linewidth=0.8, alpha=0.5)
        draw_rows(axes, differences, metric.scale, limits, metric.difference)
        axes.set(xlabel="percentage points" if metric.percent else metric.axis)

    return inline(draw, DOTS_MARGIN + DOTS_ROW * len(differences), f"Differences: {told}")


def sweep_plot(points: Sequence[Point], axes: Sequence[Axis], scores: Sequence[str], metric: Metric) -> str:
    """One field: lines of both scores; two: a map of the first; more: dots of the first, best first.

    Args:
        points: those with scores, best first.
        scores: names of the score that chooses and of the one that is shown beside it.
    """
    if len(axes) == 1:
        return _lines(points, axes[0], scores, metric)
    if len(axes) == 2:
        return _map(points, axes, scores[0], metric)
    rows = {", ".join(point["values"].values()): point["scores"][scores[0]] for point in points[:MOST]}
    return dot_plot(rows, metric, f"{', '.join(field for field, _ in axes)}, by {scores[0]}")


def _lines(points: Sequence[Point], axis: Axis, scores: Sequence[str], metric: Metric) -> str:
    """Mean and 95 % interval of each score over the values of one field, equally spaced; a gap where there is none."""
    (field, values), colours = axis, dict(zip(scores, (BLUE, VERMILLION), strict=False))
    at = {values.index(point["values"][field]): point["scores"] for point in points}
    bars = {(name, x): [metric.scale * end for end in at[x][name]["ci95"] or ()] for name in colours for x in at}
    means = {name: {x: metric.scale * at[x][name]["mean"] for x in at} for name in colours}
    shown = [y for line in means.values() for y in line.values()] + [end for bar in bars.values() for end in bar]

    def draw(figure: Figure) -> None:
        axes, (low, high) = figure.subplots(), metric.limits(shown)
        for name, colour in colours.items():
            line = [means[name].get(x, nan) for x in range(len(values))]
            axes.plot(range(len(values)), line, "o-", color=colour, markersize=5, linewidth=1.6)
            for x in at:
                axes.plot([x] * len(bars[name, x]), bars[name, x], color=colour, linewidth=2.6, alpha=0.4)
        for name, y in spread_out(
            {name: line[max(at)] for name, line in means.items()}, 0.07 * (high - low), low
        ).items():
            note: Look = {"color": colours[name], "va": "center", "transform": axes.get_yaxis_transform()}
            axes.text(1.015, y, name.replace("_", " "), **note)
        axes.set(xlim=(-0.3, len(values) - 0.7), ylim=(low, high), xlabel=field, ylabel=metric.axis)
        axes.set_xticks(range(len(values)), values)
        axes.grid(axis="y")

    return inline(draw, 3.4, f"{' and '.join(scores)} by {field}")


def _map(points: Sequence[Point], axes: Sequence[Axis], score: str, metric: Metric) -> str:
    """The mean of one score over the values of two fields, stronger where it is better; the best is framed."""
    (down, rows), (across, columns) = axes
    means = [point["scores"][score]["mean"] for point in points]
    least, span = min(means), max(means) - min(means)

    def draw(figure: Figure) -> None:
        plot = figure.subplots()
        for place, (point, mean) in enumerate(zip(points, means, strict=True)):
            x, y = columns.index(point["values"][across]), rows.index(point["values"][down])
            strength = 0.1 + 0.8 * (mean - least) / (span or 1)
            plot.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=to_rgba(BLUE, strength), linewidth=0))
            inside: Look = {"ha": "center", "va": "center", "color": LIGHT if strength > 0.5 else TEXT}
            plot.text(x, y, metric.value(mean), **inside)
            if place == 0:
                frame: Look = {"fill": False, "edgecolor": VERMILLION, "linewidth": 2.4, "zorder": 3}
                plot.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, **frame))
        plot.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel=across, ylabel=down)
        plot.set_xticks(range(len(columns)), columns)
        plot.set_yticks(range(len(rows)), rows)
        plot.tick_params(length=0)
        plot.spines[:].set_visible(True)

    return inline(draw, min(9.0, 1.1 + 0.4 * len(rows)), f"{score} by {down} and {across}")
