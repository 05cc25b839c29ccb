"""Means over seeds, with Student's confidence intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit  # scipy.stats has more, and takes a second to import

LEVEL = 0.95


def mean_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % interval of the mean; no interval from a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "ci95": None}
    reach = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return {"mean": mean, "ci95": [mean - reach, mean + reach]}


def summary(per_seed: Sequence[float], reference: Sequence[float]) -> dict[str, Any]:
    """Mean, interval and values of one method, and the paired difference to the world model on the same seeds."""
    return {
        **mean_interval(per_seed),
        "per_seed": list(per_seed),
        "difference": mean_interval(differences(per_seed, reference)),
    }


def differences(per_seed: Sequence[float], reference: Sequence[float]) -> list[float]:
    """What each seed's score is above the reference's on the same seed."""
    return [mine - theirs for mine, theirs in zip(per_seed, reference, strict=True)]
