"""A field over a square, of another kind in each of its zones and continuous across their borders; one client a zone.

A testbed for what happens between regions: stations that measure a field, each with a cheap instrument, in its own zone
and, since nobody walks along a border, a little beyond. The test asks for the field itself, everywhere, without noise.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from federation.data.partition import Natural
from federation.data.samples import Dataset, Samples
from federation.manifold import ChartRule, PrincipalComponents
from federation.models import Mlp
from federation.randomness import generator
from federation.routing import TunedResidual
from federation.scenario import Scenario
from federation.settings import (
    CouplingSettings,
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    RouterSettings,
    TrainingPhase,
)
from federation.tasks import Regression
from server.aggregation import Mean

ZONES, MEASUREMENTS, TEST = 12, 30, 4_000
NOISE, BEYOND = 0.7, 0.1
"""Deviation of a measurement, in units of the field's own, and of how far beyond its zone a client goes."""

SCENARIO = Scenario(
    name="piecewise",
    title="A continuous field of another kind in each of 12 zones, one noisy client a zone",
    data=DataSettings(limit=ZONES * MEASUREMENTS),
    partition=Natural(),
    model=Mlp(width=32, blocks=1),
    local=LocalTraining(learning_rate=0.05, batch_size=10, epochs=4),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=2),
    charts=ChartRule(rank=2, shrinkage=5.0),
    prior=TrainingPhase(rounds=5),
    experts=ExpertSettings(rounds=10),
    coupling=CouplingSettings(rounds=10, strength=1.0, neighbours=6),
    head=HeadSettings(temperature=1.0),
    router=RouterSettings(rule=TunedResidual(temperature=1.0, top=1), rounds=3),
)

Points = NDArray[np.float64]
Zones = NDArray[np.int64]


def load(settings: DataSettings, seed: int) -> Dataset:
    """Points in [-1, 1]^2 with one value each, in units of the field's deviation from its mean.

    Every seed draws its own zones, field, measurements and test; `limit` is the number of measurements in all.
    """
    field = Field.drawn(generator(seed, "piecewise field"))
    draw = generator(seed, "piecewise measurements")
    count = ZONES * MEASUREMENTS if settings.limit is None else settings.limit
    points, asked = _uniform(draw, count), _uniform(generator(seed, "piecewise test"), TEST)
    noise, stray = NOISE * draw.standard_normal(count), BEYOND * draw.standard_normal(points.shape)
    return Dataset(
        task=Regression(input_shape=(2,), outputs=1),
        train=_samples(points, field(points) + noise),
        test=_samples(asked, field(asked)),
        group=field.zones(points + stray),
        test_group=field.zones(asked),
    )


@dataclass(frozen=True)
class Field:
    """base(x) + strength_k depth_k(x) kind_k(x) in zone k, standardised.

    Zone k is where the k-th centre is nearest. depth is the distance to its border: 0 on both sides, so that the field
    is continuous there; its slope is not. The kinds are a ridge, a slope, a wave and a bowl, in turn.
    """

    centres: Points
    directions: Points
    strengths: Points
    phases: Points
    mean: float = 0.0
    deviation: float = 1.0

    @staticmethod
    def drawn(draw: np.random.Generator) -> "Field":
        """A field over zones of about equal size, whose centres are moved to their middles. Source: Lloyd (1982)."""
        centres, points = _uniform(draw, ZONES), _uniform(draw, 10_000)
        for _ in range(20):
            nearest = _squares(points, centres).argmin(1)
            centres = np.stack([points[nearest == zone].mean(0) for zone in range(ZONES)])
        angles, signs = draw.uniform(0, 2 * np.pi, ZONES), draw.choice([-1.0, 1.0], ZONES)
        directions = np.stack([np.cos(angles), np.sin(angles)], 1)
        raw = Field(centres, directions, signs * draw.uniform(1, 3, ZONES), draw.uniform(0, 2 * np.pi, 2))
        values = raw(points)
        return replace(raw, mean=float(values.mean()), deviation=float(values.std()))

    def __call__(self, points: Points) -> Points:
        """The field's values."""
        zone = self.zones(points)
        offset = points - self.centres[zone]
        along, apart = (offset * self.directions[zone]).sum(1), (offset**2).sum(1)
        kinds = np.stack([np.ones_like(along), 3 * along, np.sin(6 * along), 4 * apart])
        own = self.strengths[zone] * self.depths(points) * kinds[zone % len(kinds), np.arange(len(points))]
        first, second = points.T
        base = np.sin(2 * first + self.phases[0]) + 0.5 * np.cos(3 * second + self.phases[1])
        values: Points = (base + own - self.mean) / self.deviation
        return values

    def zones(self, points: Points) -> Zones:
        """The zone of each point."""
        nearest: Zones = _squares(points, self.centres).argmin(1)
        return nearest

    def depths(self, points: Points) -> Points:
        """Distance of each point to the border of its zone with the next one."""
        squares, zone = _squares(points, self.centres), self.zones(points)
        between = np.sqrt(_squares(self.centres, self.centres))[zone]
        own = np.arange(ZONES) == zone[:, None]
        depths = (squares - squares.min(1, keepdims=True)) / np.where(own, 1.0, 2 * between)
        nearest: Points = np.where(own, np.inf, depths).min(1)
        return nearest


def _uniform(draw: np.random.Generator, count: int) -> Points:
    return draw.uniform(-1, 1, (count, 2))


def _squares(points: Points, centres: Points) -> Points:
    """Squared distances [points, centres]."""
    squares: Points = ((points[:, None] - centres) ** 2).sum(-1)
    return squares


def _samples(points: Points, values: Points) -> Samples:
    return Samples(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(values.astype(np.float32))[:, None])
