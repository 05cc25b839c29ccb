"""Bounds of what a client may send."""

from collections.abc import Collection

from federation.tensors import Parameters
from federation.wire.contribution import WEIGHT

METRICS = ("metric/loss", "metric/visited", "metric/multiplies", "metric/divergence", "metric/probed", "metric/moved")
"""One number each, that come beside a model; all but the loss count something."""

MOST_SAMPLES, LARGEST = 1e9, 1e6
"""Bounds of the samples of a reply, and of the weights of a model, far beyond any that were ever of use."""


def check_values(who: str, sums: Parameters, expected: Collection[str]) -> None:
    """Refuse sums that nobody asked for, weights that are none, and models out of all bounds."""
    for name, tensor in sums.items():
        if name not in expected and (name not in METRICS or tensor.dim()):
            raise ValueError(f"{who}: {name} {list(tensor.shape)} was not asked for")
        counts = name.startswith("metric/") and name != METRICS[0]
        if counts and (least := float(tensor.min())) < 0:
            raise ValueError(f"{who}: {name} is {least:g}, expected no less than 0")
        if f"{WEIGHT}/{name}" in sums:
            weight = float(sums[f"{WEIGHT}/{name}"])
            if not 0 <= weight <= MOST_SAMPLES:
                raise ValueError(f"{who}: its weight is {weight:g}, expected its samples, at most {MOST_SAMPLES:g}")
            if tensor.numel() and float(tensor.abs().max()) > weight * LARGEST:
                raise ValueError(f"{who}: {name} holds weights beyond {LARGEST:g}")
