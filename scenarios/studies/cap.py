"""Coverage, accuracy, performance: can one model have all three? Source: Ma and Shi (2025), section 7.2, "Model CAP".

Coverage is the share of the union test of which a method is sure, accuracy its score there, performance what a query
takes. One method dominates another that is nowhere better and somewhere worse.
"""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from matplotlib.figure import Figure

from scenarios.reports.display import readable
from scenarios.reports.metric import Metric
from scenarios.reports.pictures import BLUE, VERMILLION, Look, inline
from scenarios.reports.sheet import Column, Sheet, interval
from scenarios.runs.compare import WORLD
from scenarios.runs.scoring import SURE

FEDERATION = (WORLD, "world_1_2", "world_1_4", "world_1_8")
MONOLITHS = ("central", "central_total", "fedavg", "fedavg_total")
METHODS = (*FEDERATION, *MONOLITHS)

BYTES = 4
"""Of a weight."""


def cap(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """The three of each method, means over seeds, from the plain data of a comparison; and who dominates whom."""
    budget = comparison["budget"]
    rows = {
        name: {
            "coverage": comparison["coverage"][name],
            "accuracy": comparison["covered"][name],
            "union": comparison["union"][name],
            "query_flops": budget[name]["query_flops"],
            "bytes_active": BYTES * budget[name]["active_parameters"],
            "bytes_held": BYTES * budget[name]["total_parameters"],
            "latency": budget[name]["latency"],
        }
        for name in METHODS
        if name in comparison["covered"]
    }
    dominated = {
        mine: [name for name in rows if name in MONOLITHS and dominates(rows[name], rows[mine])]
        for mine in rows
        if mine in FEDERATION
    }
    return {
        "scenario": comparison["scenario"],
        "metric": comparison["metric"],
        "seeds": comparison["seeds"],
        "sure": SURE,
        "methods": rows,
        "dominated_by": dominated,
        "skipped": {name: reason for name, reason in comparison["skipped"].items() if name in METHODS},
    }


def dominates(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one method is nowhere worse than the other, and better somewhere, by means over seeds."""
    gains: list[float] = [one[name]["mean"] - other[name]["mean"] for name in ("coverage", "accuracy")]
    gains.append(other["query_flops"] - one["query_flops"])
    return min(gains) >= 0 and max(gains) > 0


def sheet(result: Mapping[str, Any], title: str, titles: Mapping[str, str]) -> Sheet:
    """The table and the picture."""
    metric, rows = Metric(result["metric"]), []
    for name, row in result["methods"].items():
        scores = [interval(row[axis], metric.value) for axis in ("coverage", "accuracy", "union")]
        costs = [readable(row[cost]) for cost in ("query_flops", "bytes_active", "bytes_held", "latency")]
        rows.append([name, *scores, *costs])
    names = ("coverage", "accuracy there", "union", "FLOP a query", "bytes run", "bytes held", "µs a query")
    return Sheet(
        heading=f"{title}: coverage, accuracy, performance",
        about=f"Scenario {result['scenario']}; seeds: {', '.join(map(str, result['seeds']))}. Covered: what "
        f"a method is at least {100 * result['sure']:.0f} % sure, at the calibration that suits it",
        columns=[Column("method", number=False), *map(Column, names)],
        rows=rows,
        picture=pareto(result["methods"], metric),
        caption="Coverage and accuracy by the cost of a query. Up and to the left is better; the federation in red.",
        notes=[*verdicts(result["dominated_by"]), *(f"{n}: left out, {why}" for n, why in result["skipped"].items())],
        titles={name: titles[name] for name in result["methods"]},
    )


def verdicts(dominated: Mapping[str, Sequence[str]]) -> list[str]:
    """Who dominates the federation, plainly."""
    return [
        f"{mine}: dominated on all three by {', '.join(rivals)}" if rivals else f"{mine}: no monolith dominates it"
        for mine, rivals in dominated.items()
    ]


def pareto(rows: Mapping[str, Any], metric: Metric) -> str:
    """Coverage and accuracy over the logarithm of a query's FLOP."""
    cost = {name: log10(row["query_flops"]) for name, row in rows.items()}
    told = "; ".join(
        f"{name} {metric.value(row['coverage']['mean'])} at {readable(row['query_flops'])}FLOP"
        for name, row in rows.items()
    )

    def draw(figure: Figure) -> None:
        for axes, axis in zip(figure.subplots(1, 2), ("coverage", "accuracy"), strict=True):
            for name, row in rows.items():
                colour = VERMILLION if name in FEDERATION else BLUE
                place = cost[name], metric.scale * row[axis]["mean"]
                axes.plot(*place, "o", color=colour, markersize=6)
                note: Look = {"color": colour, "fontsize": 8, "xytext": (5, 4), "textcoords": "offset points"}
                axes.annotate(name, place, **note)
            axes.set(xlabel="log10 FLOP a query", ylabel=f"{axis}, {metric.axis}")
            axes.margins(0.25)
            axes.grid()

    return inline(draw, 3.6, f"Pareto picture: {told}")
