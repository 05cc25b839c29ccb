"""What boundary coupling does to a scenario: at the seams between regions, and on the whole union test.

    python -m benchmarks.coupling piecewise --seeds 20

Every arm runs the same rounds at the same rate on the same data; only lambda differs, and, in the arms that are not
confined, where it acts. Differences are paired by seed against lambda = 0, with Student's 95 % interval.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from scenarios.runs.engines import HERE
from scenarios.runs.overrides import collected
from scenarios.runs.progress import Silent
from scenarios.runs.simulate import simulate
from scenarios.runs.statistics import differences, mean_interval

SCORES = ("seams", "union")


def main() -> None:
    """Print a table on the way, and one line of JSON at the end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coupling", description=__doc__.splitlines()[0])
    parser.add_argument("scenario")
    parser.add_argument("--strengths", type=_numbers, default=[0.1, 0.3, 1.0, 3.0], help="lambda of each confined arm")
    parser.add_argument("--everywhere", type=_numbers, default=[1.0], help="lambda of each arm that is not confined")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--set", action="append", metavar="FIELD=VALUE", help="override a field of the scenario")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    overrides, seeds = collected(asked.set, None, None), range(asked.seed, asked.seed + asked.seeds)
    arms = {name: _scores(asked.scenario, overrides | arm, seeds) for name, arm in _arms(asked).items()}
    rows = {name: _row(name, arm, arms["0"]) for name, arm in arms.items()}
    print(json.dumps({"scenario": asked.scenario, "overrides": overrides, "seeds": list(seeds), "arms": rows}))


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",") if number]


def _arms(asked: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The overrides of each arm, by its name."""
    arms = {f"{strength:g}": {"coupling.strength": strength} for strength in [0.0, *asked.strengths]}
    for strength in asked.everywhere:
        arms[f"{strength:g} everywhere"] = {"coupling.strength": strength, "coupling.confined": False}
    return arms


def _scores(scenario: str, overrides: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, list[float]]:
    """Each score of an arm, by seed; seeds whose regions do not meet have no seams, in no arm."""
    runs = [simulate(scenario, overrides, seed, Silent(), HERE) for seed in seeds]
    return {name: [score for run in runs if (score := run.scores[name]) is not None] for name in SCORES}


def _row(name: str, arm: Mapping[str, list[float]], plain: Mapping[str, list[float]]) -> dict[str, Any]:
    """An arm's means and its paired differences to lambda = 0; printed on the way."""
    row: dict[str, Any] = {}
    for score, mine in arm.items():
        if mine:
            paired = mean_interval(differences(mine, plain[score]))
            row[score] = {**mean_interval(mine), "per_seed": mine, "minus_plain": paired}
    print(f"lambda {name:14}", *(_cell(score, row[score]) for score in row), flush=True)
    return row


def _cell(score: str, row: Mapping[str, Any]) -> str:
    paired = row["minus_plain"]
    interval = " [{:+.4f}, {:+.4f}]".format(*paired["ci95"]) if paired["ci95"] else ""
    return f"  {score} {row['mean']:.4f}  {paired['mean']:+.4f}{interval}"


if __name__ == "__main__":
    main()
