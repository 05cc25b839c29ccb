"""Three kinds of images in one federation: fashion, handwriting and gray CIFAR; 82 classes, ten clients each."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from federation.data.npz import images, labelled
from federation.data.partition import Natural
from federation.data.samples import Dataset, Samples
from federation.manifold import ChartRule, GaborEnergies, OrientedGradients, PrincipalComponents, SharedRegions
from federation.models import Convnet
from federation.optimizers import Sgd
from federation.routing import TunedResidual
from federation.scenario import Scenario
from federation.settings import (
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    ReadoutSettings,
    RouterSettings,
    Search,
    TrainingPhase,
)
from federation.tasks import Classification
from scenarios.library.femnist import femnist_arrays
from scenarios.library.sources import from_folder, limited
from server.aggregation import Momentum

SCENARIO = Scenario(
    name="domains",
    title="Fashion, handwriting and gray CIFAR, ten clients each, 82 classes",
    data=DataSettings(limit=8_000),
    partition=Natural(within=10),
    model=Convnet(channels=(9, 18, 18), blocks=0),
    local=LocalTraining(
        learning_rate=0.03, optimizer=Sgd(momentum=0.5, weight_decay=0.006), batch_size=5, schedule="cosine"
    ),
    aggregation=Momentum(beta=0.8, rate=1.5),
    encoder=PrincipalComponents(dimensions=16, features=OrientedGradients(patch=7, directions=4)),
    charts=ChartRule(rank=16, whole_regions=True),
    regions=SharedRegions(),
    prior=TrainingPhase(rounds=1),
    experts=ExpertSettings(
        rounds=40,
        own_classes=True,
        members=4,
        readout=ReadoutSettings(
            features=GaborEnergies(side=6, mirrored=True), ridges=(3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
        ),
    ),
    router=RouterSettings(
        rule=TunedResidual(top=1, hidden=16), rounds=1, local=LocalTraining(learning_rate=0.1, batch_size=5)
    ),
    head=HeadSettings(rounds=2),
    search=Search(share=0.25),
)

TEST = 2_000
CLASSES = (10, 62, 10)


def load(settings: DataSettings, seed: int) -> Dataset:
    """28 x 28 gray images; at most `limit` training and 2,000 test images of each domain."""
    train, test = [], []
    for number, (learn, check) in enumerate((_fashion(settings), _handwriting(settings), _gray_cifar(settings))):
        shift = sum(CLASSES[:number])
        train.append(_drawn(learn, settings.limit, f"domain {number}", shift))
        test.append(_drawn(check, TEST, f"domain {number} test", shift))
    domain = np.repeat(np.arange(3), [len(part) for part in train])
    return Dataset(
        task=Classification(input_shape=(1, 28, 28), outputs=sum(CLASSES)),
        train=Samples.concatenated(train),
        test=Samples.concatenated(test),
        group=domain,
        test_group=np.repeat(np.arange(3), [len(part) for part in test]),
        domain=domain,
        domain_names=("fashion", "handwriting", "gray cifar"),
        leaks_unless_natural="the domains are the clients' own; cut them by partition.within",
    )


def _drawn(samples: Samples, limit: int | None, purpose: str, shift: int) -> Samples:
    drawn = samples.take(limited(len(samples), limit, purpose))
    return Samples(drawn.inputs, drawn.targets + shift)


def _fashion(settings: DataSettings) -> tuple[Samples, Samples]:
    arrays = from_folder(settings, "fashion_mnist.npz", ("x_train", "y_train", "x_test", "y_test"))
    learn = labelled(images(arrays["x_train"]), arrays["y_train"], "fashion training set")
    return learn, labelled(images(arrays["x_test"]), arrays["y_test"], "fashion test set")


def _handwriting(settings: DataSettings) -> tuple[Samples, Samples]:
    arrays = femnist_arrays(settings)
    samples = labelled(images(arrays["x"], invert=True), arrays["y"], "femnist")
    test = arrays["is_test"].astype(bool)
    return samples.take(np.flatnonzero(~test)), samples.take(np.flatnonzero(test))


def _gray_cifar(settings: DataSettings) -> tuple[Samples, Samples]:
    arrays = from_folder(settings, "cifar10_sub.npz", ("x_train", "y_train", "x_test", "y_test"))
    learn = labelled(_gray(images(arrays["x_train"])), arrays["y_train"], "cifar training set")
    return learn, labelled(_gray(images(arrays["x_test"])), arrays["y_test"], "cifar test set")


def _gray(colour: Tensor) -> Tensor:
    """Mean of the channels, shrunk to 28 x 28."""
    return F.interpolate(colour.mean(1, keepdim=True), size=(28, 28), mode="bilinear", antialias=True)
