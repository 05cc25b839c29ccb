"""FEMNIST: handwritten characters, one client a writer."""

import numpy as np

from federation.data.npz import Arrays, images, labelled
from federation.data.partition import Natural
from federation.data.samples import Dataset
from federation.manifold import ChartRule, GaborEnergies, OrientedGradients, PrincipalComponents, SharedRegions
from federation.models import Convnet
from federation.rules import InputError
from federation.scenario import Scenario
from federation.settings import DataSettings, ExpertSettings, HeadSettings, LocalTraining, RouterSettings, TrainingPhase
from federation.tasks import Classification
from scenarios.library.sources import from_folder, limited
from server.aggregation import Momentum

SCENARIO = Scenario(
    name="femnist",
    title="Handwritten characters, one client a writer",
    partition=Natural(),
    model=Convnet(channels=(8, 16, 16), blocks=0),
    local=LocalTraining(learning_rate=0.1, batch_size=20, epochs=1),
    aggregation=Momentum(beta=0.7),
    encoder=PrincipalComponents(dimensions=128, features=OrientedGradients()),
    charts=ChartRule(rank=8),
    regions=SharedRegions(),
    prior=TrainingPhase(rounds=1),
    experts=ExpertSettings(rounds=2),
    head=HeadSettings(
        rounds=4,
        hidden=0,
        features=GaborEnergies(filters=112, side=14, cells=3, threshold=0.15),
        ridge=3e-4,
        temperature=0.005,
        local=LocalTraining(learning_rate=0.05),
    ),
    router=RouterSettings(rounds=2, mixloo=0.5),
)


def load(settings: DataSettings, seed: int) -> Dataset:
    """28 x 28 images of 62 characters; each writer's own samples are marked as training or test."""
    arrays = femnist_arrays(settings)
    samples = labelled(images(arrays["x"], invert=True), arrays["y"], "femnist")
    writer, test = arrays["writer"].astype(np.int64), arrays["is_test"].astype(bool)
    train = np.flatnonzero(~test)
    train = train[limited(len(train), settings.limit, "femnist")]
    return Dataset(
        task=Classification(input_shape=(1, 28, 28), outputs=62),
        train=samples.take(train),
        test=samples.take(np.flatnonzero(test)),
        group=writer[train],
        test_group=writer[test],
        leaks_unless_natural="a writer's samples resemble each other; they must stay with the writer",
    )


def femnist_arrays(settings: DataSettings) -> Arrays:
    """The arrays of the file; only files name the writers and their test samples."""
    if settings.source == "hub":
        raise InputError("femnist has no hub loader that keeps LEAF's test split; use npz files and --data-dir")
    return from_folder(settings, "femnist_sub.npz", ("x", "y", "writer", "is_test"))
