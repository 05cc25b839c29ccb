"""The mlp workload as a scenario: 64-64-64-10, clients made on demand."""

from benchmarks.workload import BATCH, CLASSES, RATE, SHAPES, client_samples
from federation.data.partition import OnDemand
from federation.data.samples import ClientData, Pool, Samples
from federation.models import Mlp
from federation.scenario import Scenario
from federation.settings import DataSettings, LocalTraining
from federation.tasks import Classification
from server.aggregation import Mean

SCENARIO = Scenario(
    name="speed-mlp",
    title="Many small clients, 20 steps of 20 samples each",
    partition=OnDemand(clients=1_000),
    model=Mlp(width=64, blocks=1, residual=False),
    local=LocalTraining(learning_rate=RATE, batch_size=BATCH),
    aggregation=Mean(),
)


def load(settings: DataSettings, seed: int) -> Pool:
    """Samples of 64 features, 10 classes."""
    return pool("mlp")


def pool(workload: str) -> Pool:
    """The clients of a workload."""
    task = Classification(input_shape=SHAPES[workload], outputs=CLASSES)

    def client(number: int) -> ClientData:
        return ClientData(Samples(*client_samples(workload, number)), Samples.none(task), Samples.none(task))

    return Pool(task, client, client(0).train)
