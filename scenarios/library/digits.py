"""Handwritten digits of scikit-learn: 20 clients under strong label skew. Small, real, and always at hand."""

import numpy as np
import torch

from federation.data.partition import Dirichlet
from federation.data.samples import Dataset, Samples
from federation.manifold import ChartRule, PrincipalComponents
from federation.models import Mlp
from federation.randomness import generator
from federation.scenario import Scenario
from federation.settings import DataSettings, ExpertSettings, HeadSettings, LocalTraining, RouterSettings, TrainingPhase
from federation.tasks import Classification
from server.aggregation import Mean

SCENARIO = Scenario(
    name="digits",
    title="Handwritten digits, 20 clients, Dirichlet 0.05",
    partition=Dirichlet(clients=20, alpha=0.05),
    model=Mlp(width=32, blocks=1),
    local=LocalTraining(learning_rate=0.1, batch_size=10, epochs=2),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=16),
    charts=ChartRule(min_count=3, rank=8),
    prior=TrainingPhase(rounds=4),
    experts=ExpertSettings(rounds=6),
    head=HeadSettings(rounds=2),
    router=RouterSettings(rounds=2),
)

TEST_SHARE = 0.2


def load(settings: DataSettings, seed: int) -> Dataset:
    """1,797 images of 8 x 8 pixels in 0..1; a fifth of each class is the union test."""
    from sklearn.datasets import load_digits  # takes longer to import than everything else here

    images, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)
    draw = generator(0, "digits test")
    test = np.concatenate([_first(draw.permutation(np.flatnonzero(labels == c))) for c in range(10)])
    train = np.setdiff1d(np.arange(len(labels)), test)[: settings.limit]
    everything = Samples(inputs, targets)
    task = Classification(input_shape=(64,), outputs=10)
    return Dataset(task=task, train=everything.take(train), test=everything.take(test))


def _first(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return rows[: round(TEST_SHARE * len(rows))]
