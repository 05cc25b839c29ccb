"""Seams: the samples between regions, where a world model must join what its experts say."""

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
