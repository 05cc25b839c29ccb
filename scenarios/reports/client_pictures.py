"""A picture of whom a federation serves."""

from collections.abc import Mapping, Sequence
from math import nan

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scenarios.reports.metric import Metric
from scenarios.reports.pictures import INK, METHOD_COLOURS, Look, inline


def clients_plot(scores: Mapping[str, Sequence[float | None]], metric: Metric) -> str:
    """Each method's score on each client's own test; clients stand in the order of the last method's scores, a line.

    Empty where no client has a test.
    """
    last = list(scores)[-1]
    order = [n for _, n in sorted((score, n) for n, score in enumerate(scores[last]) if score is not None)]
    drawn = {name: [_shown(own[n], metric) for n in order] for name, own in scores.items()}

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        low, high = metric.limits([value for line in drawn.values() for value in line if value == value])
        for name, line in drawn.items():
            look: Look = {"color": METHOD_COLOURS.get(name, INK), "label": name, "clip_on": False}
            look |= {"linewidth": 1.6} if name == last else {"linestyle": "", "marker": "o", "markersize": 4}
            axes.plot(range(1, len(order) + 1), [max(low, value) for value in line], **look)
        axes.set(ylim=(low, high), xlabel=f"clients, by their score of {last}", ylabel=metric.axis)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        axes.legend(loc="lower right")

    return inline(draw, 3.4, f"Scores of {len(order)} clients by {', '.join(scores)}") if order else ""


def _shown(score: float | None, metric: Metric) -> float:
    return nan if score is None else metric.scale * score
