"""Seams: where regions meet, and a world model must join what its experts say."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from federation.data.samples import Samples
from federation.manifold.coupling import boundary
from federation.world_model import WorldModel

SEAM = 0.5
"""Least boundary weight of a sample at a seam: its largest gate is below 0.85."""


@torch.no_grad()
def seams(world: WorldModel, inputs: Float[Tensor, "samples *shape"]) -> Bool[Tensor, " samples"]:
    """Samples with max_i 4 g_i (1 - g_i) >= 1/2, where g are the charts' own gates and not those of the tuned router:
    so the same samples are judged whatever the experts and the router have learned."""
    gates = world.atlas.posterior(world.encoder(inputs), world.design.chart_temperature)
    return boundary(gates).amax(1) >= SEAM


def seam_score(world: WorldModel, samples: Samples) -> float | None:
    """The world model's score on the samples at seams alone; None where there are none."""
    rows = torch.nonzero(seams(world, samples.inputs)).flatten()
    if len(rows) == 0:
        return None
    there = samples.take(rows)
    return world.design.task.score(world.predict(there.inputs), there.targets)


PAIRS, HALVINGS = 400, 30
"""Samples from which the way to the nearest one of another region is looked at; steps in which its border is found."""

NEAR, STEP = 1e-5, 1e-3
"""Distances, in mean deviations of an input: on either side of a border, and along which a slope is measured."""


@dataclass(frozen=True)
class Jump:
    """What happens where the leading expert changes, on average over borders.

    Attributes:
        value: of the answers, in deviations of the targets; of the continuous, zero.
        slope: of their slope across the border, in deviations of the targets over those of the inputs.
    """

    value: float
    slope: float


@torch.no_grad()
def jump(world: WorldModel, samples: Samples) -> Jump | None:
    """The jumps of a world model of values, at borders between samples that are near to one another.

    Returns:
        None of classes, of inputs that are not flat, and where one region answers all.
    """
    if world.design.task.classifies or samples.inputs.dim() != 2:
        return None
    rows = samples.inputs[: 4 * PAIRS]
    region = world.gates(world.query(rows)).first
    apart = torch.cdist(rows, rows).masked_fill(region[:, None] == region, torch.inf)
    distance, other = (each[:PAIRS] for each in apart.min(1))
    ends = torch.stack([rows[: len(other)], rows[other]])[:, distance.isfinite()]
    if not ends.shape[1]:
        return None
    home = region[: len(other)][distance.isfinite()]
    for _ in range(HALVINGS):
        middle = ends.mean(0)
        at_home = (world.gates(world.query(middle)).first == home).unsqueeze(1)
        ends = torch.stack([torch.where(at_home, middle, ends[0]), torch.where(at_home, ends[1], middle)])
    unit, spread = float(samples.inputs.std(0).mean()), float(samples.targets.std(0).mean())
    way = torch.nn.functional.normalize(
        rows[other][distance.isfinite()] - rows[: len(other)][distance.isfinite()], dim=1
    )
    far, near, after, beyond = (
        world.predict(ends.mean(0) + unit * offset * way) for offset in (-NEAR - STEP, -NEAR, NEAR, NEAR + STEP)
    )
    value, slope = (after - near).abs().mean(), ((beyond - after) - (near - far)).abs().mean()
    return Jump(float(value) / spread, float(slope) / (STEP * spread))
