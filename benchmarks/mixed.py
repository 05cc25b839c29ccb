"""Many small clients of eight sizes, four widths and two depths, in one round."""

from benchmarks import mlp
from federation.data.samples import Pool
from federation.models import Mlp, Tiers
from federation.settings import DataSettings, TrainingPhase

SCENARIO = mlp.SCENARIO.model_copy(
    update={
        "name": "speed-mixed",
        "model": Mlp(width=64, blocks=2, residual=False),
        "sizes": Tiers(widths=(1.0, 0.75, 0.5, 0.25), depths=(1.0, 0.5)),
        "prior": TrainingPhase(rounds=1_000),
    }
)


def load(settings: DataSettings, seed: int) -> Pool:
    """Samples of 64 features, 10 classes."""
    return mlp.pool("mlp")
