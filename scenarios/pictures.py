"""The report's pictures: each function takes plain data and returns one inline SVG that reads on light and dark pages."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

INK, RULE = "#7b828c", "#9aa1ab"
"""Text and rules: mid-grays that read on white and on black; a page may set --picture-ink and --picture-rule."""

BLUE, VERMILLION = "#0072b2", "#d55e00"
METHOD_COLOURS = {
    "world": VERMILLION,
    "central": BLUE,
    "central_total": BLUE,
    "fedavg": "#009e73",
    "fedavg_total": "#009e73",
    "fedprox": "#e69f00",
    "fedadam": "#cc79a7",
    "local": "#56b4e9",
}
"""Okabe and Ito's palette; the larger monoliths share a colour with the smaller ones and are dashed."""

GROUP_COLOURS = (
    "#cc6677",
    "#88ccee",
    "#ddcc77",
    "#44aa99",
    "#aa4499",
    "#999933",
    "#5b6fc4",
    "#b0517a",
    "#5aa469",
    "#a9adb3",
)
"""After Tol's muted scheme, its darkest three made lighter for dark pages."""

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.35,
    "legend.frameon": False,
}
WIDTH = 7.4
LEAST_R2 = -0.25
"""Where axes of R2 end: a diverged model's value has no bound."""
LEAST_OVERLAP, LEAST_GATE = 0.02, 0.005
ANNOTATED = 12
"""Largest number of experts whose heatmap has numbers in its cells."""


@dataclass(frozen=True)
class Metric:
    """How a score is written and on which axis it is drawn."""

    name: str

    @property
    def percent(self) -> bool:
        """Whether scores are shares, shown in per cent."""
        return self.name == "accuracy"

    @property
    def scale(self) -> float:
        """From a score to what is shown."""
        return 100.0 if self.percent else 1.0

    @property
    def axis(self) -> str:
        """Label of an axis."""
        return "accuracy, %" if self.percent else "R²"

    @property
    def limits(self) -> tuple[float, float]:
        """Least and greatest value that is drawn."""
        return (0.0, 100.0) if self.percent else (LEAST_R2, 1.0)

    def value(self, score: float | None) -> str:
        """A score as text."""
        if score is None or not isfinite(score):
            return "no value"
        return signed(f"{100 * score:.1f}\u00a0%" if self.percent else f"{score:.3f}")

    def difference(self, score: float) -> str:
        """A difference of scores as text, with its sign."""
        return signed(f"{100 * score:+.1f}" if self.percent else f"{score:+.3f}")


def signed(text: str) -> str:
    """The text with true minus signs."""
    return text.replace("-", "\u2212")


def dot_plot(scores: Mapping[str, Mapping[str, Any]], metric: Metric, protocol: str) -> str:
    """Mean, 95 % interval and single seeds of each method, best first. Empty if no method has a score."""
    rows = _ranked(scores)
    if not rows:
        return ""
    label = f"{protocol}: " + ", ".join(f"{name} {metric.value(scores[name]['mean'])}" for name in rows)
    return _svg(lambda figure: _draw_dots(figure, scores, metric), _dots_height(rows), label)


def save_overview(comparison_json: Mapping[str, Any], path: Path) -> None:
    """Write the union-test picture by itself, as SVG or PNG, whichever the path ends in."""
    scores, metric = comparison_json["union"], Metric(comparison_json["metric"])
    if path.suffix == ".svg":
        svg = dot_plot(scores, metric, "Union test").replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        path.write_text(svg + "\n", encoding="utf-8")
        return
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, _dots_height(_ranked(scores))), layout="constrained")
        _draw_dots(figure, scores, metric)
        figure.savefig(path, dpi=200, transparent=True, metadata={"Software": None})


def _ranked(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    finite = [name for name, row in scores.items() if row["mean"] is not None and isfinite(row["mean"])]
    return sorted(finite, key=lambda name: -scores[name]["mean"])


def _dots_height(rows: Sequence[str]) -> float:
    return 0.75 + 0.29 * len(rows)


def _draw_dots(figure: Figure, scores: Mapping[str, Mapping[str, Any]], metric: Metric) -> None:
    axes, rows = figure.subplots(), _ranked(scores)
    shown = [value for name in rows for value in _extent(scores[name])]
    low, high = _limits(shown, metric)
    if "world" in rows:
        axes.axvline(metric.scale * scores["world"]["mean"], color=VERMILLION, linewidth=0.8, alpha=0.5)
    for place, name in enumerate(rows):
        row, colour = scores[name], VERMILLION if name == "world" else BLUE
        mean = metric.scale * row["mean"]
        if row["ci95"]:
            ends = np.clip(metric.scale * np.array(row["ci95"]), low, high)
            axes.plot(ends, [place, place], color=colour, linewidth=2.6, alpha=0.4, solid_capstyle="butt")
            seeds = [metric.scale * value for value in row["per_seed"] if value is not None and low <= metric.scale * value]
            axes.plot(seeds, [place] * len(seeds), "|", color=colour, markersize=8, markeredgewidth=0.9, alpha=0.8)
        axes.plot(max(mean, low), place, "o" if mean >= low else "<", color=colour, markersize=6.5, clip_on=False)
        note = metric.value(row["mean"])
        axes.text(1.02, place, note, transform=axes.get_yaxis_transform(), va="center", color=colour if name == "world" else INK)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.4, -0.6), xlabel=metric.axis)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _extent(row: Mapping[str, Any]) -> list[float]:
    seeds = [value for value in row["per_seed"] if value is not None]
    return [value for value in (*seeds, *(row["ci95"] or ())) if isfinite(value)]


def _limits(values: Sequence[float], metric: Metric) -> tuple[float, float]:
    """An axis that holds the values as far as they are possible ones, with some air."""
    least, greatest = metric.limits
    low, high = metric.scale * min(values), metric.scale * max(values)
    air = 0.06 * max(high - low, 0.02 * metric.scale)
    return max(least, low - air), min(greatest + (0.5 if metric.percent else 0.005), high + air)


def learning_curves(
    curves: Mapping[str, Sequence[Sequence[float]]], finals: Mapping[str, float], phases: Sequence[str], metric: Metric
) -> str:
    """Union score by gradient round on one seed; a method without a curve is a dotted line at its final score."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        ends, values = {}, []
        last = max([x for points in curves.values() for x, _ in points], default=1)
        for name, final in finals.items():
            if not isfinite(final):
                continue
            points = [(x, metric.scale * y) for x, y in curves.get(name, ()) if y is not None and isfinite(y)]
            colour, shown = METHOD_COLOURS.get(name, INK), points or [(0, metric.scale * final), (last, metric.scale * final)]
            dashes: Any = ("--" if name.endswith("_total") else "-") if points else (0, (1, 2.5))
            strong = 2.2 if name == "world" else 1.4
            axes.plot(*zip(*shown, strict=True), color=colour, linestyle=dashes, linewidth=strong if points else 1.0)
            ends[name], values = shown[-1][1], [*values, *(y / metric.scale for _, y in shown)]
        low, high = _limits(values, metric)
        _shade(axes, phases)
        axes.set(xlim=(0, last), ylim=(low, high), xlabel="rounds of gradient steps", ylabel=metric.axis)
        axes.grid(axis="y")
        for name, place in _spread({n: max(y, low) for n, y in ends.items()}, 0.052 * (high - low)).items():
            bold = "bold" if name == "world" else "normal"
            colour = METHOD_COLOURS.get(name, INK)
            axes.text(1.015, place, name, transform=axes.get_yaxis_transform(), va="center", color=colour, weight=bold)

    return _svg(draw, 3.9, "Union score by gradient round, one line for each method")


def _spread(places: Mapping[str, float], gap: float) -> dict[str, float]:
    """Places of labels moved apart so that no two are nearer than `gap`, the topmost ones moved least."""
    spread: dict[str, float] = {}
    above = float("inf")
    for name in sorted(places, key=lambda n: -places[n]):
        above = spread[name] = min(places[name], above - gap)
    return spread


def _shade(axes: Axes, phases: Sequence[str]) -> None:
    """Every second phase in gray, and each phase's name above its first round. `phases` has one entry a round."""
    start = 0
    for number, (phase, rounds) in enumerate(groupby(phases)):
        length = len(list(rounds))
        if number % 2 == 0:
            axes.axvspan(start, start + length, color=RULE, alpha=0.13, linewidth=0)
        wide = length > 0.055 * len(phases) + 0.011 * len(phases) * len(phase)
        middle = start + length / 2
        axes.text(
            middle,
            1.015,
            phase,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            rotation=0 if wide else 90,
            fontsize=8,
        )
        start += length


def atlas_map(regions: Sequence[Mapping[str, Any]], overlaps: Sequence[Sequence[float]], shares: Sequence[float]) -> str:
    """Regions in the first two principal directions of their centres: area by samples, lines by overlap."""
    placed = [region for region in regions if region["x"] is not None]
    colours = group_colours(regions)
    most = max((region["samples"] for region in placed), default=1.0)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for i, one in enumerate(placed):
            for other in placed[i + 1 :]:
                a, b = one["region"], other["region"]
                overlap = (overlaps[a][b] + overlaps[b][a]) / 2
                if overlap >= LEAST_OVERLAP:
                    ends = [one["x"], other["x"]], [one["y"], other["y"]]
                    axes.plot(*ends, color=RULE, linewidth=0.6 + 7 * overlap, alpha=0.45, zorder=1)
        for region in placed:
            colour, side = colours.get(region["group"], GROUP_COLOURS[1]), 14 + 20 * sqrt(region["samples"] / most)
            axes.plot(region["x"], region["y"], "o", color=colour, markersize=side, alpha=0.85, markeredgecolor=INK, zorder=2)
            inside = {"ha": "center", "va": "center", "fontsize": 8, "color": "#14171a", "zorder": 3}
            axes.text(region["x"], region["y"], str(region["region"]), **inside)
        axes.margins(0.09)
        axes.set(xlabel=_direction("first", shares, 0), ylabel=_direction("second", shares, 1), xticks=[], yticks=[])
        handles = [Line2D([], [], color=c, marker="o", linewidth=0, markersize=7, label=g) for g, c in colours.items()]
        if len(handles) > 1:
            figure.legend(handles=handles, loc="outside right upper", labelcolor=INK, handletextpad=0.2)

    return _svg(draw, 4.6, f"Map of {len(placed)} regions in latent space")


def group_colours(regions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A colour for each group of regions; none if the groups are more than can be told apart."""
    groups = sorted({region["group"] for region in regions if region["group"]}, key=lambda g: (len(g), g))
    return dict(zip(groups, GROUP_COLOURS, strict=False)) if len(groups) <= len(GROUP_COLOURS) else {}


def _direction(which: str, shares: Sequence[float], number: int) -> str:
    return f"{which} principal direction ({100 * shares[number]:.0f} %)" if number < len(shares) else ""


def routing_heatmap(rows: Sequence[str], columns: Sequence[str], gates: Sequence[Sequence[float]]) -> str:
    """Mean gate of each expert (columns) on the samples of each true region (rows)."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for r, row in enumerate(gates):
            for c, gate in enumerate(row):
                if gate >= LEAST_GATE:
                    axes.add_patch(Rectangle((c - 0.5, r - 0.5), 1, 1, color=to_rgba(BLUE, sqrt(gate)), linewidth=0))
                    if len(columns) <= ANNOTATED:
                        ink = "#ffffff" if gate > 0.35 else INK
                        axes.text(c, r, f"{100 * gate:.0f}", ha="center", va="center", fontsize=8, color=ink)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="expert")
        small = 8 if max(len(rows), len(columns)) <= 32 else 5
        axes.set_xticks(range(len(columns)), columns, fontsize=small, rotation=90 if len(columns) > 16 else 0)
        axes.set_yticks(range(len(rows)), rows, fontsize=small)
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(True)

    return _svg(draw, min(9.0, 1.1 + 0.2 * len(rows)), f"Mean gate of {len(columns)} experts on {len(rows)} kinds of samples")


def rounds_plot(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Training loss and fixed-point residual by round, with the phases shaded."""

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True)
        phases = [record["stage"] for record in rounds]
        for axes, field, colour, label in ((upper, "loss", BLUE, "loss, nats"), (lower, "residual", VERMILLION, "residual")):
            start = 0
            for _, group in groupby(rounds, key=lambda record: record["stage"]):
                records = list(group)
                points = [(start + n + 0.5, r[field]) for n, r in enumerate(records) if r[field] is not None]
                if points:
                    axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=3.5, linewidth=1.3)
                start += len(records)
            _shade(axes, phases if axes is upper else [])
            axes.set(ylabel=label)
            axes.grid(axis="y")
        lower.set(xlim=(0, len(rounds)), xlabel="round")

    return _svg(draw, 4.4, "Training loss and fixed-point residual by round")


def _svg(draw: Callable[[Figure], None], height: float, description: str) -> str:
    """Draw on a fresh transparent figure; the result has no dates, no ids that clash, and themable grays."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": description}):
        figure, out = Figure(figsize=(WIDTH, height), layout="constrained"), io.StringIO()
        draw(figure)
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    svg = out.getvalue()
    return svg
