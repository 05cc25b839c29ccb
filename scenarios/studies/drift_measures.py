"""What a method forgets while its data drift, what helps it later, and how fast it learns what is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from scenarios.reports.display import readable
from scenarios.reports.metric import Metric
from scenarios.reports.pictures import METHOD_COLOURS, ORANGE, SKY, inline
from scenarios.reports.sheet import Column, Sheet, interval
from scenarios.runs.statistics import mean_interval

RECOVERED = 0.95
"""Share of what the method to be reached has in the end of a period, at which another counts as recovered."""

LEAST_ERROR = 1e-6
"""Below it an error counts as this, where another is divided by it."""


@dataclass(frozen=True)
class Leg:
    """One method in one period.

    Attributes:
        scores: on the test of each period, past, present and future, when the period is over.
        curve: on the test of the period itself after each round.
        whole: on the tests of all periods so far, after each round.
        flops: of training.
    """

    scores: tuple[float, ...]
    curve: tuple[float, ...]
    whole: tuple[float, ...]
    flops: float


def measures(legs: Sequence[Leg], newest: Sequence[Leg], whole: Sequence[Leg]) -> dict[str, Any]:
    """What one method's periods amount to.

    Scores are of the task, of which more is better; an error is 1 - score.
    `end` is the mean score over all periods in the end, `newest` that on the last; `forgetting` by how much the score
    on an old period has fallen since it was new, a mean over the old periods, `worse` by what share their errors
    together have risen; `forward` the mean score on the next period before it comes. `rounds` is after how many the
    method reached `RECOVERED` of what another ends the same period with, on the newest period, and `rounds_whole` on
    all periods so far: means over all periods but the first. One in which it never did counts with all its rounds.

    Args:
        newest: of the method to be reached on the newest period.
        whole: of the one to be reached on all periods so far.
    """
    last, old = legs[-1].scores, range(len(legs) - 1)
    before, after = (float(np.mean(scores)) for scores in ([legs[p].scores[p] for p in old], last[:-1]))
    return {
        "scores": [leg.scores for leg in legs],
        "curves": [leg.curve for leg in legs],
        "flops": sum(leg.flops for leg in legs),
        "end": float(np.mean(last)),
        "newest": last[-1],
        "forgetting": before - after,
        "worse": (1 - after) / max(1 - before, LEAST_ERROR) - 1,
        "forward": float(np.mean([legs[p].scores[p + 1] for p in old])),
        "rounds": _recovered([leg.curve for leg in legs], [leg.curve for leg in newest]),
        "rounds_whole": _recovered([leg.whole for leg in legs], [leg.whole for leg in whole]),
    }


TITLES = {
    "world": "the federation: each period's part is joined to what is there",
    "context": "the same, told which samples of a test share a client (no labels)",
    "fedavg": "FedAvg that goes on from the last period's model, equal active parameters",
    "fedavg_restart": "FedAvg that begins afresh in each period",
    "central": "a monolith that is trained afresh on all data so far",
}
MEASURES = ("end", "newest", "forgetting", "worse", "forward", "rounds", "rounds_whole", "flops")


def summarised(scenario: str, metric: str, seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means and intervals over the seeds."""
    return {
        "scenario": scenario,
        "metric": metric,
        "seeds": [each["seed"] for each in seeds],
        "methods": {
            name: {key: mean_interval([each["methods"][name][key] for each in seeds]) for key in MEASURES}
            for name in TITLES
        },
        "per_seed": list(seeds),
    }


def sheet(result: Mapping[str, Any], title: str) -> Sheet:
    """The table and the picture."""
    metric, rows = Metric(result["metric"]), []
    for name, row in result["methods"].items():
        scores = [interval(row[key], metric.value) for key in ("end", "newest", "forgetting")]
        scores += [interval(row["worse"], "{:+.0%}".format), interval(row["forward"], metric.value)]
        rounds = [f"{row[key]['mean']:.1f}" for key in ("rounds", "rounds_whole")]
        rows.append([name, *scores, *rounds, readable(row["flops"]["mean"])])
    scored = ("all in the end", "newest", "forgotten", "error on old", "forward")
    names = (*scored, "rounds to recover the newest", "rounds to recover all", "training FLOP")
    return Sheet(
        heading=f"{title}: drift",
        about=f"Scenario {result['scenario']}; seeds: {', '.join(map(str, result['seeds']))}. Recovered: at "
        f"{RECOVERED:.0%} of what FedAvg ends a period with on the newest, central on all periods so far",
        columns=[Column("method", number=False), *map(Column, names)],
        rows=rows,
        picture=_courses(result["per_seed"], metric),
        caption="The mean score over the tests of all periods so far, after each period; seed by seed.",
        notes=[],
        titles=TITLES,
    )


def _courses(seeds: Sequence[Mapping[str, Any]], metric: Metric) -> str:
    """Mean score on all periods so far over the periods, a line a seed."""

    def draw(figure: Figure) -> None:
        axes, colours = figure.subplots(), METHOD_COLOURS | {"context": ORANGE, "fedavg_restart": SKY}
        for name in TITLES:
            for number, each in enumerate(seeds):
                scores = each["methods"][name]["scores"]
                known = [metric.scale * float(np.mean(row[: t + 1])) for t, row in enumerate(scores)]
                axes.plot(range(1, len(known) + 1), known, "o-", color=colours[name], label=None if number else name)
        axes.set(xlabel="period", ylabel=metric.axis)
        axes.legend(frameon=False)
        axes.grid()

    means = {name: np.mean([each["methods"][name]["end"] for each in seeds]) for name in TITLES}
    told = ", ".join(f"{name} {metric.value(float(mean))}" for name, mean in means.items())
    return inline(draw, 3.6, f"After the last period: {told}")


def _recovered(mine: Sequence[Sequence[float]], reached: Sequence[Sequence[float]]) -> float:
    """Mean number of rounds over all periods but the first, of the curves of each."""

    def rounds(curve: Sequence[float], wanted: float) -> int:
        return next((n for n, score in enumerate(curve, 1) if score >= wanted), len(curve))

    return float(np.mean([rounds(m, RECOVERED * r[-1]) for m, r in zip(mine[1:], reached[1:], strict=True)]))
