"""Fashion-MNIST whose classes come two at a time: five periods, four clients in each, all others gone by then."""

from federation.data.partition import Natural
from federation.data.samples import Dataset
from federation.manifold import ChartRule, GaborEnergies, OrientedGradients, PrincipalComponents
from federation.models import Convnet
from federation.scenario import Scenario
from federation.settings import (
    CompositionSettings,
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    RouterSettings,
    Search,
    TrainingPhase,
)
from federation.world.composition import Part
from scenarios.library import fashion
from server.aggregation import Mean

PARTS: tuple[Part, ...] = ("head",)
"""A head of sums, to which each period adds its own. Held-out samples of two classes alone would choose any part."""

SCENARIO = Scenario(
    name="incremental",
    title="Fashion-MNIST, two new classes a period, five periods of four clients",
    data=DataSettings(limit=10_000),
    partition=Natural(within=4),
    model=Convnet(channels=(8, 16, 16), blocks=0),
    local=LocalTraining(learning_rate=0.05, batch_size=50),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=32, features=OrientedGradients()),
    charts=ChartRule(rank=8),
    prior=TrainingPhase(rounds=2),
    experts=ExpertSettings(rounds=1),
    head=HeadSettings(rounds=0, hidden=0, features=GaborEnergies(), ridge=1e-3, temperature=0.02),
    router=RouterSettings(rounds=0),
    composition=CompositionSettings(parts=PARTS),
    search=Search(share=0.5),
)

CLASSES = 2
"""New ones in a period."""


def load(settings: DataSettings, seed: int) -> Dataset:
    """The images of `fashion`, each there in the period of its class alone."""
    whole = fashion.load(settings, seed)
    now, asked = (samples.targets.numpy() // CLASSES for samples in (whole.train, whole.test))
    return Dataset(
        task=whole.task,
        train=whole.train,
        test=whole.test,
        group=now,
        test_group=asked,
        period=now,
        test_period=asked,
    )
