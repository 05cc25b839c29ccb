"""What a method forgets while its data drift, what helps it later, and how fast it learns what is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from scenarios.display import readable
from scenarios.pictures import METHOD_COLOURS, ORANGE, SKY, Metric, inline
from scenarios.sheet import Column, Sheet, interval
from scenarios.statistics import mean_interval

RECOVERED = 0.95
"""Share of what FedAvg has reached on the newest period by its end, at which a method counts as recovered."""

LEAST_ERROR = 1e-6
"""Below it an error counts as this, where another is divided by it."""


@dataclass(frozen=True)
class Leg:
    """One method in one period.

    Attributes:
        scores: on the test of each period, past, present and future, when the period is over.
        curve: on its own test after each round.
        flops: of training.
    """

    scores: tuple[float, ...]
    curve: tuple[float, ...]
    flops: float


def measures(legs: Sequence[Leg], reference: Sequence[Leg]) -> dict[str, Any]:
    """What one method's periods amount to.

    Scores are of the task, of which more is better; an error is 1 - score.
    `end` is the mean score over all periods in the end, `newest` that on the last; `forgetting` by how much the score
    on an old period has fallen since it was new, a mean over the old periods, `worse` by what share their errors
    together have risen; `forward` the mean score on the next period before it comes; `rounds` after which the method
    reached `RECOVERED` of what the reference ends with in the same period: a mean over all periods but the first,
    where one in which it never did counts with all its rounds.
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
        "rounds": float(np.mean([_recovered(mine, ref) for mine, ref in zip(legs[1:], reference[1:], strict=True)])),
    }


TITLES = {
    "world": "the federation: each period's part is joined to what is there",
    "context": "the same, told which samples of a test share a client (no labels)",
    "fedavg": "FedAvg that goes on from the last period's model, equal active parameters",
    "fedavg_restart": "FedAvg that begins afresh in each period",
    "central": "a monolith that is trained afresh on all data so far",
}
MEASURES = ("end", "newest", "forgetting", "worse", "forward", "rounds", "flops")


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
        rows.append([name, *scores, f"{row['rounds']['mean']:.1f}", readable(row["flops"]["mean"])])
    names = ("all in the end", "newest", "forgotten", "error on old", "forward", "rounds to recover", "training FLOP")
    return Sheet(
        heading=f"{title}: drift",
        about=f"Scenario {result['scenario']}; seeds: {', '.join(map(str, result['seeds']))}. Recovered: at "
        f"{RECOVERED:.0%} of what FedAvg ends a period with",
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


def _recovered(mine: Leg, reference: Leg) -> int:
    wanted = RECOVERED * reference.curve[-1]
    return next((n for n, score in enumerate(mine.curve, 1) if score >= wanted), len(mine.curve))
