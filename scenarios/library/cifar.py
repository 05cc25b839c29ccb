"""CIFAR-10 (a subset): 20 clients with two label shards each."""

from federation.data.npz import images, labelled
from federation.data.partition import Shards
from federation.data.samples import Dataset
from federation.manifold import ChartRule, GaborEnergies, OrientedGradients, PrincipalComponents, SharedRegions
from federation.models import Convnet
from federation.scenario import Scenario
from federation.settings import DataSettings, ExpertSettings, HeadSettings, LocalTraining, RouterSettings, TrainingPhase
from federation.tasks import Classification
from scenarios.library.sources import from_folder, from_hub, limited
from server.aggregation import Mean

SCENARIO = Scenario(
    name="cifar",
    title="CIFAR-10, 20 clients, two label shards each",
    partition=Shards(clients=20, shards=2),
    model=Convnet(channels=(16, 32, 32), blocks=0),
    local=LocalTraining(learning_rate=0.05, batch_size=20, epochs=1),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=32, features=OrientedGradients(patch=8, directions=8)),
    charts=ChartRule(rank=16),
    regions=SharedRegions(),
    prior=TrainingPhase(rounds=1),
    experts=ExpertSettings(rounds=2),
    head=HeadSettings(rounds=0, hidden=0, features=GaborEnergies(side=6, mirrored=True), ridge=0.1, temperature=0.02),
    router=RouterSettings(rounds=1),
)


def load(settings: DataSettings, seed: int) -> Dataset:
    """32 x 32 colour images."""
    if settings.source == "hub":
        hub = from_hub("uoft-cs/cifar10", "img", "label")
        arrays = {name: a.transpose(0, 3, 1, 2) if name.startswith("x") else a for name, a in hub.items()}
    else:
        arrays = dict(from_folder(settings, "cifar10_sub.npz", ("x_train", "y_train", "x_test", "y_test")))
    train = labelled(images(arrays["x_train"]), arrays["y_train"], "cifar training set")
    test = labelled(images(arrays["x_test"]), arrays["y_test"], "cifar test set")
    task = Classification(input_shape=(3, 32, 32), outputs=10)
    return Dataset(task=task, train=train.take(limited(len(train), settings.limit, "cifar")), test=test)
