"""Eight Gaussian clusters in ten dimensions, each with a cubic of its own along a direction of its own; 24 clients.

One network for all must find the clusters before it learns a cubic, and hardly does: their cubics have no gradient in
common. Whoever knows the cluster has one direction to find. Three clients hold samples of each cluster, so that regions
are to be found from charts. Sources: Chen et al. (2022), arXiv 2208.02813; Kawata et al. (2025), arXiv 2506.01656.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray

from federation.data.partition import Natural
from federation.data.samples import Dataset, Samples
from federation.manifold import ChartRule, PrincipalComponents, SharedRegions
from federation.manifold.coordinates import Whitened
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
from server.aggregation import Mean

CLUSTERS, DIMENSIONS, CLIENTS, SAMPLES, TEST = 8, 10, 24, 400, 4_000
"""Clusters, inputs, clients, training samples of each client, and test samples."""
RHO = 6.0
"""Distance between any two clusters, in deviations of one."""
NOISE = 0.1
"""Deviation of what is measured from the answer, which has deviation one."""

SCENARIO = Scenario(
    name="clusters",
    title="Eight Gaussian clusters, a cubic of its own in each; 24 clients of one cluster each",
    data=DataSettings(limit=CLIENTS * SAMPLES),
    partition=Natural(),
    model=Mlp(width=16, blocks=1, activation="silu"),
    local=LocalTraining(learning_rate=0.03, optimizer=AdamW(), batch_size=20, epochs=4, schedule="cosine"),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=DIMENSIONS),
    charts=ChartRule(covariance="spherical"),
    regions=SharedRegions(),
    prior=TrainingPhase(rounds=2),
    experts=ExpertSettings(rounds=12, coordinates=Whitened()),
    head=HeadSettings(rounds=0),
    router=RouterSettings(rule=Windows(temperature=1.0), rounds=0),
)


@dataclass(frozen=True)
class Drawn:
    """Samples with the cluster of each; their answers are without noise."""

    inputs: NDArray[np.float64]
    cluster: NDArray[np.int64]
    answers: NDArray[np.float64]

    def samples(self, noise: NDArray[np.float64] | float = 0.0) -> Samples:
        """As tensors, with noise in the answers."""
        return Samples(
            *(torch.from_numpy(each.astype(np.float32)) for each in (self.inputs, (self.answers + noise)[:, None]))
        )


def load(settings: DataSettings, seed: int, rho: float = RHO) -> Dataset:
    """Every seed draws its own directions and samples; `limit` is the number of training samples of all clients."""
    count = settings.limit or CLIENTS * SAMPLES
    draw = generator(seed, "clusters")
    towards = draw.standard_normal((CLUSTERS, DIMENSIONS))
    directions = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    client = np.arange(count) % CLIENTS
    train = drawn(client % CLUSTERS, directions, rho, draw)
    asked = np.arange(TEST) % CLIENTS
    test = drawn(asked % CLUSTERS, directions, rho, generator(seed, "clusters test"))
    return Dataset(
        task=Regression(input_shape=(DIMENSIONS,), outputs=1),
        train=train.samples(NOISE * draw.standard_normal(count)),
        test=test.samples(),
        group=client,
        test_group=asked,
    )


def drawn(cluster: NDArray[np.int64], directions: NDArray[np.float64], rho: float, draw: np.random.Generator) -> Drawn:
    """x = m + u of cluster k, u standard normal, and y = (z^3 - 3 z) / sqrt 6 with z = u w_k.

    The centres m are corners of a regular simplex with edges rho. The third Hermite polynomial has mean zero, variance
    one and, over a cluster, nothing that a line or a parabola could follow.
    """
    apart = draw.standard_normal((len(cluster), directions.shape[1]))
    centres = rho / sqrt(2) * np.eye(*directions.shape)
    along = (apart * directions[cluster]).sum(1)
    return Drawn(centres[cluster] + apart, cluster, (along**3 - 3 * along) / sqrt(6))
