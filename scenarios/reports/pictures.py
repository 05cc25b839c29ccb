"""The report's pictures: each function takes plain data and returns one inline SVG, fit for light and dark pages."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from itertools import combinations, groupby, pairwise
from math import ceil, sqrt
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from scenarios.reports.metric import Metric

Look = dict[str, Any]
"""How something is drawn: keyword arguments of matplotlib."""

Scores = Mapping[str, Mapping[str, Any]]
"""One protocol of `comparison.json`: each method's row."""

Limits = Callable[[Sequence[float]], tuple[float, float]]
"""Both ends of an axis that holds some values."""

INK, RULE, TEXT, DARK, LIGHT = "#7b828c", "#9aa1ab", "#16191c", "#14171a", "#ffffff"
"""Text and rules: mid-grays that read on white and on black. Then text on faint, bright and strong colours."""

BLUE, VERMILLION, GREEN, ORANGE, PINK, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"
"""The palette of Okabe and Ito, safe for colour-blind readers."""

THEMED = {INK: "ink", RULE: "rule", TEXT: "text", BLUE: "blue", VERMILLION: "world"}
"""Colours that a page may replace: it sets --picture-ink and so on."""

GROUP_COLOURS = [f"#{c}" for c in ("c67", "8ce", "dc7", "4a9", "a49", "993", "67d", "b57", "5a6", "aaa")]
"""After Tol's muted scheme, its darkest colours made lighter for dark pages."""

METHOD_COLOURS = {"world": VERMILLION, "central": BLUE, "central_total": BLUE, "fedavg": GREEN, "fedavg_total": GREEN}
METHOD_COLOURS |= {"fedprox": ORANGE, "fedadam": PINK, "local": SKY}
RIVALS = ("scaffold", "heterofl", "fedrolex", "fjord", "ifca", "fedem", "fedrep", "ditto", "feddf", "fedpft")
METHOD_COLOURS |= dict(zip(RIVALS, GROUP_COLOURS, strict=False))
"""A larger monolith shares its colour with the smaller one and is dashed; methods without a curve are gray."""

STYLE: Any = (
    {"svg.fonttype": "none", "font.family": ["DejaVu Sans"], "font.size": 10, "legend.frameon": False}
    | dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK)
    | dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), RULE)
    | dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width", "grid.linewidth"), 0.6)
    | {"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "grid.alpha": 0.35}
)
WIDTH, DOTS_MARGIN, DOTS_ROW = 7.4, 0.78, 0.31
"""Inches: of every picture, and of a dot plot's axis and rows."""
LEAST_OVERLAP, LEAST_GATE = 0.02, 0.005
"""What is less is not drawn."""
ANNOTATED, UPRIGHT, ROOMY = 12, 16, 32
"""Up to how many regions pictures have numbers in cells, labels that need no turning, and a label for each."""


def dot_plot(scores: Scores, metric: Metric, protocol: str) -> str:
    """Mean, 95 % interval and single seeds of each method, best first; empty if no method has a score."""
    rows = _ranked(scores)
    told = ", ".join(f"{name} {metric.value(scores[name]['mean'])}" for name in rows)
    draw = partial(_draw_dots, scores=scores, metric=metric)
    return inline(draw, DOTS_MARGIN + DOTS_ROW * len(rows), f"{protocol}: {told}") if rows else ""


def _ranked(scores: Scores) -> list[str]:
    return sorted((n for n, row in scores.items() if row["mean"] is not None), key=lambda n: -scores[n]["mean"])


def _draw_dots(figure: Figure, scores: Scores, metric: Metric) -> None:
    axes = figure.subplots()
    if "world" in _ranked(scores):
        axes.axvline(metric.scale * scores["world"]["mean"], color=VERMILLION, linewidth=0.8, alpha=0.5)
    draw_rows(axes, scores, metric.scale, metric.limits, metric.value)
    axes.set(xlabel=metric.axis)


def draw_rows(axes: Axes, scores: Scores, scale: float, limits: Limits, text: Callable[[float], str]) -> None:
    """A row of mean, interval and single seeds for each name, best first."""
    rows = _ranked(scores)
    seeds = {name: [scale * v for v in scores[name]["per_seed"] if v is not None] for name in rows}
    bars = {name: [scale * end for end in scores[name]["ci95"] or () if end is not None] for name in rows}
    low, high = limits([value for name in rows for value in (*seeds[name], *bars[name])])
    for place, name in enumerate(rows):
        colour, mean = VERMILLION if name == "world" else BLUE, scale * scores[name]["mean"]
        axes.plot(bars[name], [place] * len(bars[name]), color=colour, linewidth=2.6, alpha=0.4)
        if len(seeds[name]) > 1:
            axes.plot(seeds[name], [place] * len(seeds[name]), "|", color=colour, markersize=8, alpha=0.8)
        inside = max(mean, low + 0.01 * (high - low))
        axes.plot(inside, place, "o" if mean >= low else "<", color=colour, markersize=6.5, clip_on=False)
        note: Look = {"va": "center_baseline", "color": colour if name == "world" else INK}
        axes.text(1.02, place, text(scores[name]["mean"]), transform=axes.get_yaxis_transform(), **note)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def learning_curves(
    curves: Mapping[str, Sequence[Any]], finals: Mapping[str, float | None], phases: Sequence[str], metric: Metric
) -> str:
    """Union score by gradient round on one seed; a method without a curve is a dotted line at its final score."""
    last = max([len(phases), 1, *(point[0] for points in curves.values() for point in points)])
    points_of = {n: curves.get(n) or [(0, final), (last, final)] for n, final in finals.items() if final is not None}
    drawn = {n: [(x, metric.scale * y) for x, y in points if y is not None] for n, points in points_of.items()}
    taller = max(1.0, 0.062 * len(drawn))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        low, high = metric.limits([y for points in drawn.values() for _, y in points])
        for name, points in drawn.items():
            still, alone = not curves.get(name), "o" if len(points) == 1 else ""
            line: Look = {"linewidth": 2.2 if name == "world" else 1.1 if still else 1.4, "marker": alone}
            line["linestyle"] = (0, (1, 2.5)) if still else "--" if name.endswith("_total") else "-"
            axes.plot(*zip(*points, strict=True), color=METHOD_COLOURS.get(name, INK), **line)
        _shade(axes, phases)
        axes.set(xlim=(0, last), ylim=(low, high), xlabel="rounds of gradient steps", ylabel=metric.axis)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        ends = {name: min(max(points[-1][1], low), high) for name, points in drawn.items() if points}
        for name, place in spread_out(ends, 0.058 / taller * (high - low), low).items():
            note: Look = {"va": "center", "weight": "bold" if name == "world" else "normal"}
            colour = METHOD_COLOURS.get(name, INK)
            axes.text(1.015, place, name, transform=axes.get_yaxis_transform(), color=colour, **note)

    return inline(draw, 3.9 * taller, "Union score by gradient round, one line for each method")


def spread_out(places: Mapping[str, float], gap: float, low: float) -> dict[str, float]:
    """Places of labels, moved apart so that no two are nearer than `gap`, and up again if they sink below `low`."""
    names, spread = sorted(places, key=lambda n: -places[n]), dict(places)
    for above, name in pairwise(names):
        spread[name] = min(spread[name], spread[above] - gap)
    for number, name in enumerate(reversed(names)):
        spread[name] = max(spread[name], low + number * gap)
    return spread


def _shade(axes: Axes, phases: Sequence[str], named: bool = True) -> None:
    """Every second phase in gray, its name above it; `phases` has one entry a round."""
    start = 0
    for number, (phase, rounds) in enumerate(groupby(phases)):
        end = start + len(list(rounds))
        if number % 2 == 0:
            axes.axvspan(start, end, color=RULE, alpha=0.13, linewidth=0)
        if named:
            turn = 0 if (end - start) / len(phases) > 0.025 * len(phase) / 1.6 else 90
            above: Look = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom", "fontsize": 9}
            axes.text((start + end) / 2, 1.015, phase, rotation=turn, **above)
        start = end


def atlas_map(regions: Sequence[Mapping[str, Any]], overlaps: Sequence[Any], shares: Sequence[float]) -> str:
    """Regions in the first two principal directions of their centres: area by samples, lines by overlap."""
    placed = [region for region in regions if region["x"] is not None]
    groups = sorted({region["group"] for region in placed if region["group"]}, key=lambda group: (len(group), group))
    colours = dict(zip(groups, GROUP_COLOURS, strict=False)) if len(groups) <= len(GROUP_COLOURS) else {}
    most = max((region["samples"] for region in placed), default=1.0)
    largest, least = (32, 13) if len(placed) <= ROOMY else (16, 3)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for one, other in combinations(placed, 2):
            overlap = (overlaps[one["region"]][other["region"]] + overlaps[other["region"]][one["region"]]) / 2
            if overlap >= LEAST_OVERLAP:
                line: Look = {"color": RULE, "linewidth": 0.6 + 7 * overlap, "alpha": 0.45, "zorder": 1}
                axes.plot([one["x"], other["x"]], [one["y"], other["y"]], **line)
        for region in sorted(placed, key=lambda region: -region["samples"]):
            side = max(least, largest * sqrt(region["samples"] / most))
            disc: Look = {"color": colours.get(region["group"], SKY), "alpha": 0.85, "markeredgecolor": INK}
            axes.plot(region["x"], region["y"], "o", markersize=side, markeredgewidth=0.7, **disc)
        for region in placed if len(placed) <= ROOMY else []:
            inside: Look = {"ha": "center", "va": "center", "fontsize": 9, "color": DARK, "zorder": 3}
            axes.text(region["x"], region["y"], str(region["region"]), **inside)
        axes.margins(0.09)
        first, second = (f"{100 * share:.0f} % of the centres' variance" for share in shares)
        axes.set(xlabel=f"first direction, {first}", ylabel=f"second direction, {second}", xticks=[], yticks=[])
        keys = [Line2D([], [], color=colour, marker="o", linewidth=0, label=group) for group, colour in colours.items()]
        if len(keys) > 1:
            figure.legend(handles=keys, loc="outside right upper", handletextpad=0.2)

    return inline(draw, 4.6, f"Map of {len(placed)} regions in latent space")


def routing_heatmap(rows: Sequence[str], columns: Sequence[str], gates: Sequence[Sequence[float]]) -> str:
    """Mean gate of each expert (columns) on the samples of each true region (rows)."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        cells = [(r, c, gate) for r, row in enumerate(gates) for c, gate in enumerate(row) if gate >= LEAST_GATE]
        for r, c, gate in cells:
            # The square root keeps small gates visible.
            axes.add_patch(Rectangle((c - 0.5, r - 0.5), 1, 1, color=to_rgba(BLUE, sqrt(gate)), linewidth=0))
            if len(columns) <= ANNOTATED:
                colour = LIGHT if gate > 0.5 else TEXT
                axes.text(c, r, f"{100 * gate:.0f}", ha="center", va="center", fontsize=9, color=colour)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="expert")
        across, down = ceil(len(columns) / ROOMY), ceil(len(rows) / ROOMY)
        axes.set_xticks(range(0, len(columns), across), columns[::across], fontsize=9)
        axes.tick_params(axis="x", rotation=90 if len(columns) > UPRIGHT else 0)
        axes.set_yticks(range(0, len(rows), down), rows[::down], fontsize=9)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(True)

    height = min(9.0, 1.1 + 0.2 * len(rows))
    return inline(draw, height, f"Mean gate of {len(columns)} experts on samples of {len(rows)} regions")


def rounds_plot(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Training loss and fixed-point residual by round, with the phases shaded."""
    phases = [record["phase"] for record in rounds]

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True)
        for axes, field, colour in ((upper, "loss", BLUE), (lower, "residual", VERMILLION)):
            for _, phase in groupby(enumerate(rounds), key=lambda entry: entry[1]["phase"]):
                points = [(number + 0.5, record[field]) for number, record in phase if record[field] is not None]
                if points:
                    axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=3.5, linewidth=1.3)
            _shade(axes, phases, named=axes is upper)
            axes.set(ylim=(0, None), ylabel=f"training {field}" if field == "loss" else field)
            axes.grid(axis="y")
        lower.set(xlim=(0, len(rounds)), xlabel="round")
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))

    return inline(draw, 4.4, "Training loss and fixed-point residual by round")


def inline(draw: Callable[[Figure], None], height: float, description: str) -> str:
    """Draw on a fresh transparent figure; equal data give an equal text, without dates."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": description}):
        figure, out = Figure(figsize=(WIDTH, height), layout="constrained"), io.StringIO()
        draw(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    return _element(out.getvalue(), description)


def _element(svg: str, description: str) -> str:
    """The `svg` element alone, as wide as its place, without rules or names that would reach into the page."""
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    body = re.sub(r'<g id="[^"]*">', "<g>", svg[svg.index("<g ") : svg.rindex("</svg>")])
    body = body.replace("'DejaVu Sans'", "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif")
    for colour, name in THEMED.items():
        body = body.replace(colour, f"var(--picture-{name}, {colour})")
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    about = f'role="img" aria-label="{escape(description)}" stroke-linejoin="round"'
    return f"<svg {names} {view.group()} {about}>{body}</svg>"
