"""Human activity from a phone's motion sensors: one client a person, nine people kept as strangers."""

import numpy as np
import torch

from federation.data.npz import labelled
from federation.data.partition import Natural
from federation.data.samples import Dataset
from federation.manifold import ChartRule, PrincipalComponents, SignalStatistics
from federation.models import Convnet
from federation.optimizers import Sgd
from federation.randomness import generator
from federation.scenario import Scenario
from federation.settings import DataSettings, ExpertSettings, HeadSettings, LocalTraining, RouterSettings, TrainingPhase
from federation.tasks import Classification
from scenarios.library.sources import from_folder
from server.aggregation import Mean

SCENARIO = Scenario(
    name="har",
    title="Human activity, one client a person; union test on nine people never seen",
    partition=Natural(),
    model=Convnet(channels=(16, 32, 32), blocks=0),
    local=LocalTraining(learning_rate=0.1, optimizer=Sgd(weight_decay=0.003), batch_size=20, epochs=1),
    aggregation=Mean(),
    encoder=PrincipalComponents(
        dimensions=112,
        features=SignalStatistics(frequencies=16, axes=3, correlations=True),
        scaled=True,
        whitening=0.25,
    ),
    charts=ChartRule(rank=8),
    prior=TrainingPhase(rounds=14),
    experts=ExpertSettings(rounds=2),
    head=HeadSettings(rounds=0, hidden=1024, ridge=1e-2, temperature=0.1),
    router=RouterSettings(rounds=1, mixloo=0.5),
)

LOCAL_TEST = 0.2


def load(settings: DataSettings, seed: int) -> Dataset:
    """Windows of 128 steps of 9 channels. Windows overlap, so whole segments go to training or to the local test."""
    arrays = from_folder(settings, "uci_har.npz", ("x", "y", "subject", "official_test", "segment"))
    signals = torch.from_numpy(arrays["x"].astype(np.float32)).transpose(1, 2).unsqueeze(-1).contiguous()
    samples = labelled(signals, arrays["y"], "har")
    subject, strangers = arrays["subject"].astype(np.int64), arrays["official_test"].astype(bool)
    segment = subject * 100_000 + arrays["segment"].astype(np.int64)
    known = np.unique(segment[~strangers])
    aside = generator(0, "har local test").permutation(known)[: round(LOCAL_TEST * len(known))]
    local = ~strangers & np.isin(segment, aside)
    train = np.flatnonzero(~strangers & ~local)[: settings.limit]
    return Dataset(
        task=Classification(input_shape=(9, 128, 1), outputs=6),
        train=samples.take(train),
        test=samples.take(np.flatnonzero(strangers)),
        group=subject[train],
        test_group=subject[strangers],
        unit=segment[train],
        leaks_unless_natural="windows overlap by half and people move alike; split by subject",
        local_test=samples.take(np.flatnonzero(local)),
        local_test_group=subject[local],
    )
