"""Machines that wear at six operating points: how many cycles are left, from one cycle's settings and sensors.

Each client owns a few machines, and each of them passes through all points, so that a region is a point and not a
client: the regions are found among the clusters of each client's samples. At each point the sensors have a level of
their own, and tell of wear by a curve of their own. The test asks for machines that no client owns. The generator is
ours, in the manner of published multi-condition fleets; nothing of it is measured.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from federation.data.partition import Natural
from federation.data.samples import UNKNOWN_CLIENT, Dataset, Samples
from federation.manifold import ChartRule, PrincipalComponents, SharedRegions
from federation.manifold.coordinates import Whitened
from federation.models import Mlp
from federation.optimizers import AdamW
from federation.randomness import generator
from federation.routing import Windows
from federation.scenario import Scenario
from federation.settings import (
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    RouterSettings,
    TrainingPhase,
)
from federation.tasks import Regression
from server.aggregation import Mean

POINTS, SETTINGS, SENSORS, CLIENTS = 6, 3, 12, 24
MACHINES, TESTED = 4, 24
"""Machines of each client, and machines of nobody, which are tested on."""
LIVES = (120, 300)
"""Cycles from new to worn out, the fewest and the most."""
CAP = 125.0
"""Cycles beyond which nobody asks how many are left."""
NOISE = 0.15
"""Deviation of a sensor's noise, where wear moves it by about one."""

SCENARIO = Scenario(
    name="engines",
    title="Machines that wear at six operating points, 24 clients of four: cycles left",
    partition=Natural(),
    model=Mlp(width=16, blocks=1, activation="silu"),
    local=LocalTraining(learning_rate=0.03, optimizer=AdamW(), batch_size=20, epochs=4, schedule="cosine"),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=6),
    charts=ChartRule(clusters=8, min_count=20),
    regions=SharedRegions(),
    prior=TrainingPhase(rounds=2),
    experts=ExpertSettings(rounds=12, coordinates=Whitened(degree=0)),
    head=HeadSettings(rounds=0),
    router=RouterSettings(rule=Windows(temperature=1.0), rounds=0),
)


def load(settings: DataSettings, seed: int) -> Dataset:
    """Every seed draws its own points, curves and machines; `limit` is the number of machines of all clients."""
    machines = CLIENTS * MACHINES if settings.limit is None else settings.limit
    plant = _plant(generator(seed, "engines"))
    train = [_life(plant, generator(seed, "engines", number)) for number in range(machines)]
    test = [_life(plant, generator(seed, "engines test", number)) for number in range(TESTED)]
    owner = np.arange(machines) % CLIENTS
    every = np.concatenate([inputs for inputs, _ in train])
    centre, scale = every.mean(0), every.std(0)

    def samples(lives: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Samples:
        inputs, left = (np.concatenate(each) for each in zip(*lives, strict=True))
        scaled, target = (inputs - centre) / scale, (left - CAP / 2) / (CAP / 2)
        return Samples(
            torch.from_numpy(scaled.astype(np.float32)), torch.from_numpy(target.astype(np.float32)[:, None])
        )

    held = samples(test)
    return Dataset(
        task=Regression(input_shape=(SETTINGS + SENSORS,), outputs=1),
        train=samples(train),
        test=held,
        group=np.concatenate([np.full(len(left), who) for who, (_, left) in zip(owner, train, strict=True)]),
        test_group=np.full(len(held), UNKNOWN_CLIENT),
        unit=np.concatenate([np.full(len(left), number) for number, (_, left) in enumerate(train)]),
    )


def _plant(draw: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """What all machines share at each point: settings, the sensors' levels, and how they answer to wear.

    A sensor at wear w in [0, 1] is level + gain w^power; powers differ from point to point, and signs do.
    """
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * SETTINGS)).reshape(SETTINGS, -1).T
    shape = (POINTS, SENSORS)
    return {
        "settings": 3 * corners[draw.permutation(len(corners))[:POINTS]],
        "level": 2 * draw.standard_normal(shape),
        "gain": draw.standard_normal(shape),
        "power": draw.uniform(0.5, 4.0, shape),
        "drift": 0.3 * draw.standard_normal((POINTS, SETTINGS, SENSORS)),
    }


def _life(
    plant: dict[str, NDArray[np.float64]], draw: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One machine from new to worn out: settings and sensors of each cycle, and how many cycles are left."""
    cycles = int(draw.integers(*LIVES))
    age = np.arange(cycles)
    wear = np.expm1(3 * age / cycles) / np.expm1(3)
    point = draw.integers(POINTS, size=cycles)
    off = 0.3 * draw.standard_normal((cycles, SETTINGS))
    sensors = plant["level"][point] + plant["gain"][point] * wear[:, None] ** plant["power"][point]
    sensors += np.einsum("cs,csn->cn", off, plant["drift"][point]) + NOISE * draw.standard_normal((cycles, SENSORS))
    return np.concatenate([plant["settings"][point] + off, sensors], 1), np.minimum(cycles - age, CAP)
