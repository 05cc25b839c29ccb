"""A field over the plane, of another kind in each zone and continuous across their borders; one noisy client a zone.

A testbed for what happens between regions: think of stations that measure a field, each in its own zone and, since
nobody walks along a border, a little beyond. The test asks for the field itself, everywhere and without noise.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from federation.data import Dataset, Samples
from federation.manifold import ChartRule, PrincipalComponents
from federation.models import Mlp
from federation.partition import Natural
from federation.randomness import generator
from federation.routing import TunedResidual
from federation.scenario import (
    DataSettings,
    HeadSettings,
    LocalTraining,
    RouterSettings,
    Scenario,
    TrainingPhase,
)
from federation.task import Task
from server.aggregation import Mean

SCENARIO = Scenario(
    name="piecewise",
    title="A continuous field of another kind in each of 12 zones, one noisy client a zone",
    data=DataSettings(limit=432),
    partition=Natural(),
    model=Mlp(width=32, blocks=1),
    local=LocalTraining(learning_rate=0.05, batch_size=10, epochs=4),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=2),
    charts=ChartRule(rank=2, shrinkage=5.0),
    prior=TrainingPhase(rounds=5),
    experts=TrainingPhase(rounds=20),
    head=HeadSettings(temperature=1.0),
    router=RouterSettings(rule=TunedResidual(temperature=1.0), rounds=3),
)

ZONES, DIMENSIONS = 12, 2
NOISE, BEYOND = 0.7, 0.1
"""Deviation of a measurement, in units of the field's, and how far beyond its zone a client goes."""
TEST = 4_000

Points = NDArray[np.float64]


def load(settings: DataSettings, seed: int) -> Dataset:
    """Points in [-1, 1]^2 and one value each, standardised by the field's own mean and deviation. Every seed draws its
    own field, zones, measurements and test; `limit` measurements in all, about as many in each zone."""
    field = Field.drawn(generator(seed, "piecewise field"))
    train, test = generator(seed, "piecewise train"), generator(seed, "piecewise test")
    points, asked = (_uniform(draw, count) for draw, count in ((train, settings.limit or 432), (test, TEST)))
    zones = field.zone(points + BEYOND * train.standard_normal(points.shape))
    noise = NOISE * train.standard_normal(len(points))
    return Dataset(
        task=Task(kind="regression", input_shape=(DIMENSIONS,), outputs=1),
        train=_samples(points, field(points) + noise),
        test=_samples(asked, field(asked)),
        group=zones,
        test_group=field.zone(asked),
        leaks_unless_natural="",
    )


@dataclass(frozen=True)
class Field:
    """base(x) + 2 depth(x) h_k(x) in zone k, the Voronoi cell of the k-th centre; depth is the distance to its border,
    so that the field is continuous there and its slope is not."""

    centres: Points
    directions: Points
    strengths: Points
    phases: Points
    mean: float = 0.0
    deviation: float = 1.0

    @staticmethod
    def drawn(draw: np.random.Generator) -> "Field":
        """A field with zones of about equal size. Source of the zones: Lloyd (1982)."""
        centres = _uniform(draw, ZONES)
        for _ in range(20):
            points = _uniform(draw, 2_000)
            nearest = _squares(points, centres).argmin(1)
            centres = np.stack([points[nearest == k].mean(0) if (nearest == k).any() else centres[k] for k in range(ZONES)])
        directions = draw.standard_normal((ZONES, DIMENSIONS))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        strengths = draw.uniform(0.5, 1.5, ZONES) * draw.choice([-1, 1], ZONES)
        raw = Field(centres, directions, strengths, draw.uniform(0, 2 * np.pi, DIMENSIONS))
        values = raw(_uniform(draw, 4_000))
        return Field(centres, directions, strengths, raw.phases, float(values.mean()), float(values.std()))

    def zone(self, points: Points) -> NDArray[np.int64]:
        return _squares(points, self.centres).argmin(1)

    def __call__(self, points: Points) -> Points:
        squares = _squares(points, self.centres)
        zone = squares.argmin(1)
        apart = np.sqrt(_squares(self.centres, self.centres)) + np.eye(ZONES)
        depths = (squares - squares.min(1, keepdims=True)) / (2 * apart[zone])
        depths[np.arange(len(points)), zone] = np.inf
        offset = points - self.centres[zone]
        along = (offset * self.directions[zone]).sum(1)
        kinds = [np.ones_like(along), 3 * along, np.sin(6 * along), 4 * (offset**2).sum(1)]
        own = 2 * depths.min(1) * self.strengths[zone] * np.choose(zone % len(kinds), kinds)
        base = np.sin(2 * points[:, 0] + self.phases[0]) + 0.5 * np.cos(3 * points[:, 1] + self.phases[1])
        return (base + own - self.mean) / self.deviation


def _uniform(draw: np.random.Generator, count: int) -> Points:
    return draw.uniform(-1, 1, (count, DIMENSIONS))


def _squares(points: Points, centres: Points) -> Points:
    return ((points[:, None] - centres) ** 2).sum(-1)


def _samples(points: Points, values: Points) -> Samples:
    return Samples(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(values.astype(np.float32))[:, None])
