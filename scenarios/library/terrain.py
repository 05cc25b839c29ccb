"""A surveyed mountain fault: 64 stations, each of which has measured heights in its own tile and nowhere else.

The test asks for heights everywhere. Relief is rough at every scale: one small model is too smooth everywhere, and an
expert of a single tile, in that tile's coordinates, is not. The elevation model of Jacksboro, Tennessee, comes with
matplotlib; source: United States Geological Survey, public domain.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from federation.data.partition import Natural
from federation.data.samples import Dataset, Samples
from federation.manifold import ChartRule, FourierFeatures, PrincipalComponents
from federation.manifold.coordinates import Diagonal
from federation.models import Mlp
from federation.optimizers import AdamW
from federation.randomness import generator
from federation.routing import Windows
from federation.rules import InputError
from federation.scenario import Scenario
from federation.settings import (
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    ReadoutSettings,
    RouterSettings,
    TrainingPhase,
)
from federation.tasks import Regression
from server.aggregation import Mean

TILES, MEASURED, TEST = 8, 40_000, 10_000
"""Tiles along each side; heights that the stations have measured; others that are asked for."""

SCENARIO = Scenario(
    name="terrain",
    title="A mountain fault, 64 survey stations: heights of one tile each",
    data=DataSettings(limit=MEASURED),
    partition=Natural(),
    model=Mlp(width=24, blocks=1, residual=False, activation="sine"),
    local=LocalTraining(learning_rate=0.01, optimizer=AdamW(), batch_size=50, epochs=4, schedule="cosine"),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=2),
    charts=ChartRule(covariance="spherical"),
    prior=TrainingPhase(rounds=4),
    experts=ExpertSettings(
        rounds=8,
        coordinates=Diagonal(),
        readout=ReadoutSettings(features=FourierFeatures(count=256, bandwidths=(0.1, 0.2)), ridges=(1e-6, 1e-4, 1e-2)),
    ),
    head=HeadSettings(features=FourierFeatures(count=256, bandwidths=(0.1, 0.2)), hidden=0, ridge=1e-3, rounds=0),
    router=RouterSettings(rule=Windows(temperature=4.0), rounds=0),
)


def load(settings: DataSettings, seed: int) -> Dataset:
    """Places in [-1, 1]^2, with their heights in units of the fault's deviation from its mean."""
    heights = relief()
    rows, columns = heights.shape
    down, across = (axis.flatten() for axis in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    places = np.stack([2 * across / (columns - 1) - 1, 2 * down / (rows - 1) - 1], 1)
    tile = TILES * (TILES * down // rows) + TILES * across // columns
    order = generator(seed, "terrain").permutation(heights.size)
    count = MEASURED if settings.limit is None else settings.limit
    if count > heights.size - TEST:
        raise InputError(f"data.limit: {count:,} of {heights.size:,} heights leave no {TEST:,} to test on; take fewer")
    train, test = order[:count], order[count : count + TEST]
    mean, deviation = heights.mean(), heights.std()
    scaled = (heights.flatten() - mean) / deviation
    return Dataset(
        task=Regression(input_shape=(2,), outputs=1),
        train=_samples(places[train], scaled[train]),
        test=_samples(places[test], scaled[test]),
        group=tile[train],
        test_group=tile[test],
    )


def relief() -> NDArray[np.float64]:
    """Heights in metres, north first."""
    import matplotlib  # takes long to import, and is needed nowhere else here

    with np.load(Path(matplotlib.get_data_path()) / "sample_data" / "jacksboro_fault_dem.npz") as arrays:
        heights: NDArray[np.float64] = arrays["elevation"].astype(np.float64)
    return heights


def _samples(places: NDArray[np.float64], values: NDArray[np.float64]) -> Samples:
    return Samples(torch.from_numpy(places.astype(np.float32)), torch.from_numpy(values.astype(np.float32))[:, None])
