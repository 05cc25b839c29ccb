"""A coast on the sphere: relief of land and sea floor in 32 patches, one client a patch.

The test asks for heights everywhere. Places are points of the unit sphere. The grid of four degrees by two around
Vancouver Island comes with matplotlib (`topobathy.npz`).
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
from federation.scenario import Scenario
from federation.settings import (
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    RouterSettings,
    TrainingPhase,
)
from federation.tasks import Regression
from scenarios.library.sources import limited
from server.aggregation import Mean

DOWN, ACROSS, TEST = 4, 8, 0.2
"""Patches from north to south and from west to east; share of the grid's points that are for the test."""

SCENARIO = Scenario(
    name="earth",
    title="A coast on the sphere, 32 clients: heights and depths of one patch each",
    partition=Natural(),
    model=Mlp(width=16, blocks=1, residual=False, activation="sine"),
    local=LocalTraining(learning_rate=0.01, optimizer=AdamW(), batch_size=20, epochs=4, schedule="cosine"),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=2),
    charts=ChartRule(covariance="spherical"),
    prior=TrainingPhase(rounds=2),
    experts=ExpertSettings(rounds=6, coordinates=Diagonal()),
    head=HeadSettings(features=FourierFeatures(count=256, bandwidths=(0.1, 0.2)), hidden=0, ridge=1e-3, rounds=0),
    router=RouterSettings(rule=Windows(temperature=4.0), rounds=0),
)


def load(settings: DataSettings, seed: int) -> Dataset:
    """Points of the sphere, with their heights in units of the map's deviation from its mean."""
    longitude, latitude, heights = relief()
    rows, columns = heights.shape
    down, across = (axis.flatten() for axis in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    patch = ACROSS * (DOWN * down // rows) + ACROSS * across // columns
    places = scaled(on_sphere(longitude[across], latitude[down]))
    values = (heights.flatten() - heights.mean()) / heights.std()
    samples = Samples(*(torch.from_numpy(part.astype(np.float32)) for part in (places, values[:, None])))
    order = generator(seed, "earth").permutation(heights.size)
    asked = round(TEST * heights.size)
    test, train = order[:asked], order[asked:]
    train = train[limited(len(train), settings.limit, "earth")]
    return Dataset(
        task=Regression(input_shape=(3,), outputs=1),
        train=samples.take(train),
        test=samples.take(test),
        group=patch[train],
        test_group=patch[test],
    )


def relief() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes [columns] and latitudes [rows] in degrees, and heights above the sea [rows, columns] in metres."""
    import matplotlib  # takes long to import, and is needed nowhere else here

    with np.load(Path(matplotlib.get_data_path()) / "sample_data" / "topobathy.npz") as arrays:
        longitude, latitude, topo = (arrays[name].astype(np.float64) for name in ("longitude", "latitude", "topo"))
    return longitude, latitude, topo


def on_sphere(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors [places, 3] of degrees."""
    east, north = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], 1)


def scaled(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places less their mean, all three numbers in one unit: seen from the whole sphere they are but a dot."""
    apart = places - places.mean(0)
    inside: NDArray[np.float64] = apart / np.abs(apart).max()
    return inside
