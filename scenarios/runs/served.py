"""Whom a federation serves: the scores of each client, and who gains or loses by joining it."""

from collections.abc import Mapping, Sequence
from typing import Any

from federation.data.samples import FederatedData
from scenarios.runs.journal import Score

ALONE = "local"
"""The method in which each client trains alone."""


def by_client(scores: Sequence[Score], federation: FederatedData) -> dict[str, Any]:
    """Plain data on the clients.

    `samples` to train on, and `tested`, of each client of the first seed, and each method's `scores` there; `joining`:
    how many clients each method `helps` and `hurts`, against training alone, `of` those of all seeds that have a test.
    """
    seed = min(score.seed for score in scores)
    alone = {score.seed: score.by_client for score in scores if score.method == ALONE}
    rivals = list(dict.fromkeys(score.method for score in scores if score.method != ALONE))
    return {
        "seed": seed,
        "samples": [len(client.train) for client in federation.clients],
        "tested": [len(client.test) for client in federation.clients],
        "scores": {score.method: list(score.by_client) for score in scores if score.seed == seed},
        "joining": {name: _joining([s for s in scores if s.method == name], alone) for name in rivals} if alone else {},
    }


def _joining(scores: Sequence[Score], alone: Mapping[int, Sequence[float | None]]) -> dict[str, int]:
    gains = [gain for score in scores for gain in gained(score.by_client, alone[score.seed]) if gain is not None]
    return {"helps": sum(gain > 0 for gain in gains), "hurts": sum(gain < 0 for gain in gains), "of": len(gains)}


def gained(joined: Sequence[float | None], alone: Sequence[float | None]) -> list[float | None]:
    """What each client's score is above that of training alone; None where it has no test."""
    return [None if mine is None or own is None else mine - own for mine, own in zip(joined, alone, strict=True)]
