"""Regions that appear, move along a circle and vanish: five periods of four clients, a region each.

In each period one region is gone, another is new, and the others have moved on by about four of their deviations. What
a place meant when a region was there is asked again in the end.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from federation.data.partition import Natural
from federation.data.samples import Dataset, Samples
from federation.manifold import ChartRule, PrincipalComponents
from federation.models import Mlp
from federation.randomness import generator
from federation.scenario import Scenario
from federation.settings import (
    CompositionSettings,
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    RouterSettings,
    TrainingPhase,
)
from federation.tasks import Classification
from federation.world.composition import Part
from server.aggregation import Mean

PERIODS, REGIONS, SAMPLES, TEST = 5, 4, 120, 100
"""Periods, regions in each, and samples of a region in a period."""
RADIUS, DEVIATION, STEP = 2.0, 0.16, 2 * np.pi / (PERIODS * REGIONS)
"""Of the circle, of a region, and the angle by which all move on in a period."""

PARTS: tuple[Part, ...] = ("mixture",)

SCENARIO = Scenario(
    name="rotating",
    title="Four regions that move along a circle; in each of five periods one vanishes and one appears",
    data=DataSettings(limit=PERIODS * REGIONS * SAMPLES),
    partition=Natural(),
    model=Mlp(width=16, blocks=1),
    local=LocalTraining(learning_rate=0.3, batch_size=10, epochs=5),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=2),
    charts=ChartRule(by_label=False, rank=2, shrinkage=5.0),
    prior=TrainingPhase(rounds=5),
    experts=ExpertSettings(rounds=20),
    head=HeadSettings(rounds=0, temperature=1.0),
    router=RouterSettings(rounds=2),
    composition=CompositionSettings(parts=PARTS),
)


@dataclass(frozen=True)
class Drawn:
    """Points with their classes, the region and the period of each."""

    points: NDArray[np.float64]
    classes: NDArray[np.int64]
    region: NDArray[np.int64]
    period: NDArray[np.int64]

    @property
    def samples(self) -> Samples:
        """As tensors."""
        return Samples(torch.from_numpy(self.points.astype(np.float32)), torch.from_numpy(self.classes))


def load(settings: DataSettings, seed: int) -> Dataset:
    """Points in the plane of two classes. `limit` is the number of training samples of all periods."""
    count = settings.limit or PERIODS * REGIONS * SAMPLES
    train = _drawn(count, generator(seed, "rotating"))
    test = _drawn(PERIODS * REGIONS * TEST, generator(seed, "rotating test"))
    return Dataset(
        task=Classification(input_shape=(2,), outputs=2),
        train=train.samples,
        test=test.samples,
        group=REGIONS * train.period + train.region,
        test_group=REGIONS * test.period + test.region,
        period=train.period,
        test_period=test.period,
    )


def _drawn(count: int, draw: np.random.Generator) -> Drawn:
    """As many points of each region in each period as of any other.

    Region k is there in the periods k - 3 to k. Its classes are the two sides of the circle's radius through its
    centre; which is which changes from one region to the next.
    """
    place = np.arange(count) % (PERIODS * REGIONS)
    period = place // REGIONS
    region = period + place % REGIONS
    angle = 2 * np.pi * region / REGIONS + STEP * period
    along = DEVIATION * draw.standard_normal(count)
    outward = RADIUS + DEVIATION * draw.standard_normal(count)
    radial, tangent = np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([-np.sin(angle), np.cos(angle)], 1)
    points = outward[:, None] * radial + along[:, None] * tangent
    return Drawn(points, ((along > 0) ^ (region % 2 == 1)).astype(np.int64), place % REGIONS, period)
