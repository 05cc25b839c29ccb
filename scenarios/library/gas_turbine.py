"""Emissions of a gas turbine, hour by hour over five years: CO and NOX from the weather and the process, 20 clients.

A client is a quarter of a year's hours in their order, so that regions are operating regimes that follow one another
and drift. Source: Kaya, Tufekci and Uzun (2019), "Predicting CO and NOx emissions from gas turbines", UCI, CC BY 4.0.
"""

import numpy as np
import torch

from federation.data.partition import Natural
from federation.data.samples import Dataset, Samples
from federation.manifold import ChartRule, PrincipalComponents
from federation.models import Mlp
from federation.routing import TunedResidual
from federation.rules import InputError
from federation.scenario import Scenario
from federation.settings import DataSettings, ExpertSettings, HeadSettings, LocalTraining, RouterSettings, TrainingPhase
from federation.tasks import Regression, finite
from scenarios.library.sources import from_folder, limited
from server.aggregation import Mean

SCENARIO = Scenario(
    name="gas_turbine",
    title="Emissions of a gas turbine, 20 clients: the quarters of five years",
    partition=Natural(),
    model=Mlp(width=32, blocks=1),
    local=LocalTraining(learning_rate=0.05, batch_size=20, epochs=1),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=8),
    charts=ChartRule(rank=8),
    prior=TrainingPhase(rounds=8),
    experts=ExpertSettings(rounds=10),
    head=HeadSettings(temperature=1.0),
    router=RouterSettings(rule=TunedResidual(temperature=1.0), rounds=4),
)

FILE = "gas_turbine.npz"
SCALES = {
    "AT": (18.0, 7.5), "AP": (1013.0, 6.5), "AH": (78.0, 14.0), "AFDP": (3.9, 0.8), "GTEP": (25.6, 4.2),
    "TIT": (1081.0, 17.5), "TAT": (546.0, 6.8), "TEY": (133.5, 15.5), "CDP": (12.1, 1.1),
}  # fmt: skip
"""Inputs, each with a round centre and deviation in its own unit (deg C, mbar, %, MWh): constants, so that nothing of
the test set is in them."""
CARBON, NITROGEN = (0.5, 0.8), (65.0, 11.5)
"""The same of log CO and of NOX, in mg/m3. CO has a long tail, and is measured in multiples."""

QUARTERS, HOURS, EVERY, GAP = 4, 96, 5, 12
"""Clients a year; every fifth piece of 96 hours is for the test, but for the 12 hours at either end, which nobody gets:
hours that follow one another are alike."""


def load(settings: DataSettings, seed: int) -> Dataset:
    """Nine inputs, two targets, all in units of about one deviation. Whole pieces of time are held out, too."""
    arrays = from_folder(settings, FILE, ("x", "year", "columns"))
    columns = [str(name).strip() for name in arrays["columns"]]
    missing = [name for name in (*SCALES, "CO", "NOX") if name not in columns]
    if missing:
        raise InputError(f"{FILE} lacks the columns {', '.join(missing)}; it holds {', '.join(columns)}")
    value = {name: arrays["x"][:, place].astype(np.float64) for place, name in enumerate(columns)}
    inputs = np.stack([(value[name] - centre) / scale for name, (centre, scale) in SCALES.items()], 1)
    targets = np.stack([(np.log(value["CO"]) - CARBON[0]) / CARBON[1], (value["NOX"] - NITROGEN[0]) / NITROGEN[1]], 1)
    samples = Samples(*(torch.from_numpy(part.astype(np.float32)) for part in (inputs, targets)))
    finite(torch.cat([samples.inputs, samples.targets], 1), FILE)
    year = arrays["year"].astype(np.int64)
    hour = np.concatenate([np.arange(count) for count in np.unique(year, return_counts=True)[1]])
    quarter = QUARTERS * (year - year.min()) + QUARTERS * hour // np.bincount(year)[year]
    piece, place = hour // HOURS, hour % HOURS
    asked = piece % EVERY == EVERY - 1
    test = np.flatnonzero(asked & (place >= GAP) & (place < HOURS - GAP))
    train = np.flatnonzero(~asked)
    train = train[limited(len(train), settings.limit, "gas turbine")]
    return Dataset(
        task=Regression(input_shape=(len(SCALES),), outputs=2),
        train=samples.take(train),
        test=samples.take(test),
        group=quarter[train],
        test_group=quarter[test],
        unit=1_000 * quarter[train] + piece[train],
        period=quarter[train] // QUARTERS,
        test_period=quarter[test] // QUARTERS,
        leaks_unless_natural="hours that follow one another are alike; split by quarter",
    )
