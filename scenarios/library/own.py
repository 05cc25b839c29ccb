"""One's own data: a table with a column to be learned, a folder of images, or an npz file of arrays."""

from pathlib import Path

from federation.data.arrays import of_arrays
from federation.data.npz import read_npz, shape_in
from federation.data.own import Meaning, of_table
from federation.data.partition import Automatic
from federation.data.pictures import channels_last, is_image
from federation.data.samples import Dataset
from federation.data.tables import opened
from federation.manifold import (
    ChartRule,
    FourierFeatures,
    GaborEnergies,
    PrincipalComponents,
    RandomProjections,
    SignalStatistics,
)
from federation.models import Convnet, Mlp
from federation.rules import InputError
from federation.scenario import Scenario
from federation.settings import (
    CompositionSettings,
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    ReadoutSettings,
    RouterSettings,
    TrainingPhase,
)
from server.aggregation import Mean

TEXT = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
"""Endings of files that hold no images."""

FEATURES = FourierFeatures()

SCENARIO = Scenario(
    name="own",
    title="Your own data: a table, images, or arrays",
    partition=Automatic(clients=10, least=20),
    model=Mlp(width=64, blocks=1),
    local=LocalTraining(learning_rate=0.05, batch_size=20, epochs=1, clip=10.0, schedule="cosine"),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=16, features=RandomProjections()),
    prior=TrainingPhase(rounds=20),
    experts=ExpertSettings(
        rounds=10, readout=ReadoutSettings(features=FEATURES, ridges=(0.03, 0.3), borrowed=(300.0, 3000.0))
    ),
    head=HeadSettings(features=FEATURES, hidden=0, ridge=0.1, rounds=0),
    composition=CompositionSettings(weights=(0.25, 0.5, 1.0)),
    router=RouterSettings(local=LocalTraining(learning_rate=0.1, clip=10.0)),
)


GABORS = GaborEnergies(filters=24, cells=3)
IMAGES = {
    "model": Convnet(channels=(8, 16)),
    "experts": ExpertSettings(
        rounds=10, readout=ReadoutSettings(features=GABORS, ridges=(0.01, 0.1), borrowed=(300.0, 3000.0))
    ),
    "head": HeadSettings(features=GABORS, hidden=0, ridge=0.03, rounds=0),
}
"""What suits images."""

SIGNALS = {
    "model": Convnet(channels=(16, 32, 32), blocks=0),
    "encoder": PrincipalComponents(
        dimensions=112, features=SignalStatistics(correlations=True), scaled=True, whitening=0.25
    ),
    "charts": ChartRule(rank=8),
    "experts": ExpertSettings(rounds=10),
    "head": HeadSettings(hidden=1024, ridge=0.1, rounds=0),
}
"""What suits signals: channels over time, [channels, time, 1]."""


def suited(scenario: Scenario, settings: DataSettings) -> Scenario:
    """The scenario for the kind of these data: flat rows, images, or signals."""
    shape = _shape(settings)
    if len(shape) < 2:
        return scenario
    signals = len(shape) == 3 and shape[-1] == 1 and not channels_last((1, *shape))
    return scenario.model_copy(update=SIGNALS if signals else IMAGES)


def _shape(settings: DataSettings) -> tuple[int, ...]:
    """The shape of one sample, as far as headers tell it; empty for tables, and any shape for images in them."""
    if settings.sites is not None:
        return settings.sites.task.input_shape if settings.sites.task else ()
    path = None if settings.path is None else Path(settings.path).expanduser()
    if path is None or not path.exists() or path.suffix.lower() in TEXT:
        return ()
    if path.suffix.lower() == ".npz":
        return shape_in(path, "x_train")[1:]
    return (1, 1, 2) if any(map(is_image, opened(path).columns.values())) else ()


def load(settings: DataSettings, seed: int) -> Dataset:
    """A table (CSV, JSON lines, Parquet, Arrow, a folder), or x_train, y_train, and optionally x_test, y_test of an npz
    file; its `group_train` names the natural client."""
    if settings.path is None:
        raise InputError("your own data need a file: --data FILE, or --set data.path=mine.npz")
    path = Path(settings.path).expanduser()
    if path.suffix.lower() == ".npz":
        return _arrays(path, settings)
    meaning = Meaning(settings.label, settings.client, settings.task, settings.ignore)
    exact = (*settings.label, *([settings.client] if settings.client else []))
    test = None if settings.test is None else opened(settings.test, exact)
    return of_table(opened(path, exact), meaning, test, settings.test_share, settings.limit)


def _arrays(path: Path, settings: DataSettings) -> Dataset:
    if settings.label or settings.client or settings.ignore:
        raise InputError(f"{path.name} holds arrays, not columns: y_train is learned, group_train names clients")
    arrays = dict(read_npz(path, ("x_train", "y_train")))
    if settings.test is not None:
        arrays |= read_npz(Path(settings.test).expanduser(), ("x_test", "y_test"))
    elif len(missing := {"x_test", "y_test"} - arrays.keys()) == 1:
        raise InputError(f"{path.name} lacks {missing.pop()}; x_test and y_test belong together")
    return of_arrays(arrays, path.name, settings.task, settings.test_share, settings.limit)
