"""What lying clients cost a federation: digits, each of 20 clients answering for itself as in a deployment.

Usage: python -m benchmarks.hostile [--liars 1] [--seeds 1]
"""

import argparse
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import mean

import torch
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid
from torch import Tensor

from clients.app import app
from federation.engine import SerialGrid
from federation.opening import open_run, run_config
from federation.wire.records import ARRAYS, CONFIG, from_arrays, to_arrays
from server.answering import predictor
from server.strategy import ManifoldStrategy, RoundLostError

Spoil = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def scaled(part: str, factor: float) -> Spoil:
    """Sums whose name has a part are multiplied."""
    return lambda sums: {n: t * factor if part in n else t for n, t in sums.items()}


def every(factor: float) -> Spoil:
    return lambda sums: {n: t * factor for n, t in sums.items()}


def relabelled(label: str) -> Spoil:
    """All charts under another label."""

    def spoil(sums: dict[str, Tensor]) -> dict[str, Tensor]:
        return {f"{n.rpartition('/')[0]}/{label}" if n.count("/") > 2 else n: t for n, t in sums.items()}

    return spoil


def inflated(sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """Charts whose covariance is 1e4 times theirs, and possible."""
    found = dict(sums)
    for name in [n for n in sums if "/second/" in n]:
        total, count = sums[name.replace("second", "sum")], sums[name.replace("second", "count")]
        around = torch.outer(total, total) / count
        found[name] = ((sums[name] - around) * 1e4 + around).float()
    return found


def inverted(sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """Votes for what answers worst, 1e4 times."""
    return {n: (t.max() - t) * 1e4 if "count" not in n else t * 1e4 for n, t in sums.items()}


def negated(sums: dict[str, Tensor], times: float = 1.0) -> dict[str, Tensor]:
    """Models whose weights are minus those that were trained, so many times; their number of samples stays."""
    return {n: -times * t if f"weight/{n}" in sums else t for n, t in sums.items()}


def stretched(sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """Moments as if inputs were a thousand times as large."""
    return {n: t * 1e3 if n.endswith("sum") else t * 1e6 if n.endswith("second") else t for n, t in sums.items()}


def larger(spoil: Spoil, factor: float = 999.0) -> Spoil:
    """A lie of a client that counts its samples so many times."""
    return lambda sums: {n: t * factor for n, t in spoil(sums).items()}


OWNER = {"census": every(999.0)} | {
    phase: larger(spoil)
    for spoil, phases in (
        (negated, ("prior", "experts", "router")),
        (every(-1.0), ("choice",)),
        (scaled("targets", -1.0), ("least_squares",)),
        (every(1.0), ("encoder", "charting")),
        (lambda sums: {n: t if "count" in n else t.max() - t for n, t in sums.items()}, ("composition",)),
    )
    for phase in phases
}
"""Tells of 999 times its samples, and lies in all phases that count samples."""


ATTACKS: dict[str, Mapping[str, Spoil]] = {
    "nothing": {},
    "chart: count 0": {"charting": scaled("/count/", 0.0)},
    "chart: negative count": {"charting": scaled("/count/", -1.0)},
    "chart: no sum": {"charting": lambda sums: {n: t for n, t in sums.items() if "/sum/" not in n}},
    "chart: label ²": {"charting": relabelled("²")},
    "chart: label 99": {"charting": relabelled("99")},
    "chart: counts x 1,000": {"charting": scaled("/count/", 1e3)},
    "chart: covariance x 1e4": {"charting": inflated},
    "least squares: 1e300": {"least_squares": lambda sums: {n: torch.full_like(t, 1e300) for n, t in sums.items()}},
    "composition: inverted votes x 1e4": {"composition": inverted},
    "novelty: negative histograms": {"novelty": every(-1.0)},
    "census: x 1e5": {"census": every(1e5)},
    "prior: updates x 30": {"prior": every(30.0)},
    "experts: signs flipped": {"experts": lambda sums: {n: t if "weight/" in n else -t for n, t in sums.items()}},
    "encoder: inputs x 1,000": {"encoder": stretched},
    "encoder: count negative": {"encoder": scaled("count", -1.0)},
    "encoder: sum x -30": {"encoder": scaled("sum", -30.0)},
    "least squares: products x 1e6": {"least_squares": every(1e6)},
    "prior: minus 1,000 x the model": {"prior": lambda sums: negated(sums, 1e3)},
    "x 999 samples, inverted models and votes": OWNER,
}
"""How the answers of which phases are spoilt."""


class Lying(Grid):
    """A grid that the server does not know to be in this process, so that it trusts it no more than a network."""

    def __init__(self, grid: SerialGrid, lies: Mapping[str, Spoil], liars: int) -> None:
        self._inside, self._lies, self._liars = grid, lies, liars

    @property
    def run(self):
        return self._inside.run

    def set_run(self, run) -> None:
        self._inside.set_run(run)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl=None
    ) -> Message:
        return self._inside.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Sequence[int]:
        return self._inside.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return self._inside.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterator[Message]:
        for reply in self._inside.pull_messages(message_ids):
            spoil = self._lies.get(str(reply.content.config_records[CONFIG]["phase"])) if reply.has_content() else None
            if spoil and reply.metadata.src_node_id <= self._liars:
                reply.content[ARRAYS] = to_arrays(spoil(from_arrays(reply.content.array_records[ARRAYS])))
            yield reply

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))


def outcome(attack: str, seed: int, liars: int = 1) -> tuple[float, int]:
    """The score of a run on the union test, and how many replies were refused.

    Raises:
        RoundLostError: the attack has ended the run.
    """
    config = run_config("digits", {"head.ridge": 0.1}, seed)
    opened = open_run(config)
    data = opened.federation()
    strategy = ManifoldStrategy(opened.scenario, data.task, len(data.clients))
    strategy.start(Lying(SerialGrid(app, len(data.clients), config), ATTACKS[attack], liars), ArrayRecord())
    model = predictor(strategy.state, opened.scenario, data.task)
    score = data.task.score(model.predict(data.union_test.inputs), data.union_test.targets)
    return score, sum(len(record.refused) for record in strategy.history)


def line(attack: str, liars: int, seeds: int) -> str:
    """The mean score over some seeds, and the replies that were refused in all; or why a run has ended."""
    try:
        scores, refused = zip(*(outcome(attack, seed, liars) for seed in range(seeds)), strict=True)
    except RoundLostError as lost:
        return f"ended: {lost}"
    return f"union accuracy {mean(scores):.3f}, {sum(refused)} replies refused"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--liars", type=int, default=1, help="clients that lie alike")
    arguments.add_argument("--seeds", type=int, default=1, help="of which the mean is told")
    asked = arguments.parse_args()
    logging.disable(logging.WARNING)
    for attack in ATTACKS:
        print(f"{attack:42} {line(attack, asked.liars, asked.seeds)}", flush=True)


if __name__ == "__main__":
    main()
