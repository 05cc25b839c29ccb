"""A picture of the fields that methods answer over a plane: relief under light from the north-west, with its errors."""

from collections.abc import Mapping, Sequence
from math import ceil, isqrt
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scenarios.reports.metric import Metric
from scenarios.reports.pictures import INK, RULE, inline

SHOWN = ("world", "without_experts", "central", "central_total", "fedavg", "local", "oracle")
"""The methods whose fields are drawn, where they were run."""
COLUMNS, PANEL, STEEP = 4, 1.95, 8.0
"""Panels in a row; inches of one with its title; cells that a slope of one deviation a cell rises, for the light."""

Field = NDArray[np.float64]


def fields_plot(fields: Mapping[str, Any], scores: Mapping[str, float | None], metric: Metric) -> str:
    """What was measured and the regions that answer; each method's field, and under it its error.

    All fields have the same colours, as have all errors; empty where there are none.
    """
    names = [name for name in SHOWN if name in fields.get("methods", {})]
    if not names:
        return ""
    return inline(
        lambda figure: draw_fields(figure, fields, names, scores, metric),
        2 * PANEL * ceil((1 + len(names)) / COLUMNS),
        f"Fields and errors of {', '.join(names)}",
    )


def draw_fields(
    figure: Figure,
    fields: Mapping[str, Any],
    names: Sequence[str],
    scores: Mapping[str, float | None],
    metric: Metric,
) -> None:
    """Panels in pairs, one above the other; the first pair is what was measured, and the regions."""
    measured, bands = _square(fields["measured"]), ceil((1 + len(names)) / COLUMNS)
    pairs = figure.subplots(2 * bands, COLUMNS).reshape(bands, 2, COLUMNS).swapaxes(1, 2).reshape(-1, 2)
    for axes in pairs.flatten():
        axes.set_axis_off()
    _relief(pairs[0, 0], measured, measured, "measured")
    _regions(pairs[0, 1], _square(fields["regions"]))
    for (above, below), name in zip(pairs[1:], names, strict=False):
        field = _square(fields["methods"][name])
        _relief(above, field, measured, f"{name} {metric.value(scores.get(name))}")
        _error(below, field - measured, float(measured.std()))


def _square(values: Sequence[float | None]) -> Field:
    side = isqrt(len(values))
    return np.array(values, dtype=np.float64).reshape(side, side)


def _relief(axes: Axes, field: Field, measured: Field, title: str) -> None:
    """A field in the colours of what was measured, lit as a relief of the same steepness."""
    low, high, deviation = measured.min(), measured.max(), max(float(measured.std()), 1e-12)
    shown = np.nan_to_num(field, nan=low).clip(low - deviation, high + deviation)
    lit = LightSource(azdeg=315, altdeg=45).shade(
        *(shown, matplotlib.colormaps["gist_earth"]),
        vmin=low,
        vmax=high + 1e-12,
        vert_exag=STEEP / deviation,
        blend_mode="soft",
    )
    _panel(axes, title, lit)


def _error(axes: Axes, error: Field, deviation: float) -> None:
    """Its root mean square, where answers are finite, in deviations of what was measured."""
    squares = np.square(error[np.isfinite(error)] / max(deviation, 1e-12))
    _panel(
        axes,
        f"error {np.sqrt(squares.mean()):.2f}" if len(squares) else "no error",
        error,
        cmap="RdBu_r",
        vmin=-deviation - 1e-12,
        vmax=deviation + 1e-12,
    )


def _regions(axes: Axes, regions: Field) -> None:
    """Regions side by side differ in colour: numbers that are near each other are far apart on the map's scale."""
    _panel(axes, f"{len(np.unique(regions))} regions", regions * 7 % 20, cmap="tab20", vmin=0, vmax=19)


def _panel(axes: Axes, title: str, pixels: NDArray[Any], **colours: Any) -> None:
    axes.imshow(pixels, interpolation="none", **colours)
    axes.set_title(title, fontsize=8.5, color=INK)
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)
