"""The convnet workload as a scenario: the fashion scenario's net, 28 x 28 pixels, clients made on demand."""

from benchmarks import mlp
from federation.data.samples import Pool
from federation.models import Convnet
from federation.settings import DataSettings

SCENARIO = mlp.SCENARIO.model_copy(update={"name": "speed-convnet", "model": Convnet(channels=(8, 16, 16), blocks=0)})


def load(settings: DataSettings, seed: int) -> Pool:
    """Images of one channel, 10 classes."""
    return mlp.pool("convnet")
