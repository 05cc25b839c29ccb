"""Fashion-MNIST: 20 clients with two label shards each."""

from federation.data.npz import images, labelled
from federation.data.partition import Shards
from federation.data.samples import Dataset
from federation.manifold import ChartRule, GaborEnergies, OrientedGradients, PrincipalComponents, SharedRegions
from federation.models import Convnet
from federation.scenario import Scenario
from federation.settings import (
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    RouterSettings,
    Search,
    TrainingPhase,
)
from federation.tasks import Classification
from scenarios.library.sources import from_folder, from_hub, limited
from server.aggregation import Mean

SCENARIO = Scenario(
    name="fashion",
    title="Fashion-MNIST, 20 clients, two label shards each",
    data=DataSettings(limit=20_000),
    partition=Shards(clients=20, shards=2),
    model=Convnet(channels=(8, 16, 16), blocks=0),
    local=LocalTraining(learning_rate=0.05, batch_size=50, epochs=1),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=32, features=OrientedGradients()),
    charts=ChartRule(rank=8),
    regions=SharedRegions(),
    prior=TrainingPhase(rounds=1),
    experts=ExpertSettings(rounds=2),
    head=HeadSettings(rounds=0, hidden=0, features=GaborEnergies(), ridge=1e-3, temperature=0.02),
    router=RouterSettings(rounds=1),
    search=Search(share=0.2),
)


def load(settings: DataSettings, seed: int) -> Dataset:
    """28 x 28 images; at most `limit` of the 60,000 training images, all 10,000 test images."""
    if settings.source == "hub":
        arrays = from_hub("zalando-datasets/fashion_mnist", "image", "label")
    else:
        arrays = dict(from_folder(settings, "fashion_mnist.npz", ("x_train", "y_train", "x_test", "y_test")))
    train = labelled(images(arrays["x_train"]), arrays["y_train"], "fashion training set")
    test = labelled(images(arrays["x_test"]), arrays["y_test"], "fashion test set")
    task = Classification(input_shape=(1, 28, 28), outputs=10)
    return Dataset(task=task, train=train.take(limited(len(train), settings.limit, "fashion")), test=test)
