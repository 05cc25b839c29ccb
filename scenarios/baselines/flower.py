"""Flower's own strategies, over the same grid and the same client as all other methods."""

import inspect
import json
import random
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp import strategy
from flwr.serverapp.strategy import FedAvg

from federation.models.cost import Cost
from federation.randomness import torch_generator
from federation.rules import InputError, nearest
from federation.timing.availability import Always
from federation.wire.records import read_model, to_arrays
from scenarios.baselines.contract import (
    Contender,
    Method,
    Trial,
    active,
    single_model,
    training_flops,
)
from server.app import ROUND_TIMEOUT

FLOWER = "flwr:"
"""Prefix of the names of these methods."""


class Flower(Method):
    """One global model by a strategy of Flower at its default settings, as many parameters as one query runs.

    The server is Flower's, so such a run writes no checkpoints: one that is stopped begins again.

    Raises:
        InputError: Flower has no such strategy, or not one that begins from FedAvg.
    """

    def __init__(self, name: str) -> None:
        kinds = {kind: cls for kind, cls in vars(strategy).items() if inspect.isclass(cls) and issubclass(cls, FedAvg)}
        kind = name.removeprefix(FLOWER)
        if kind not in kinds:
            raise InputError(f"Flower has no strategy {kind!r} that this package can run; {nearest(kind, list(kinds))}")
        self.name, self.title, self._strategy = name, f"Flower's {kind}, equal active parameters", kinds[kind]

    def run(self, trial: Trial) -> Contender:
        task, scenario, grid = trial.task, trial.scenario, trial.grids(trial.config, merged=False)
        family = trial.sized(active)
        curve: list[tuple[int, float]] = []

        def observe(number: int, arrays: ArrayRecord) -> MetricRecord | None:
            if number:
                curve.append(trial.watched(number, single_model(family, read_model(arrays), task)))
            return None

        random.seed(scenario.seed)  # Flower draws the nodes of a round from the global generator
        result = self._strategy(**sampling(trial)).start(
            grid,
            to_arrays(family.init(task, torch_generator(scenario.seed, "prior"))),
            num_rounds=trial.rounds,
            timeout=scenario.pacing.deadline or ROUND_TIMEOUT,
            train_config=ConfigRecord(
                {"learning-rate": trial.learning_rate, "rounds": trial.rounds, "model": json.dumps(family.dump())}
            ),
            evaluate_fn=observe,
        )
        visits = scenario.fraction * sum(len(client.train) for client in trial.federation.clients)
        return Contender(
            single_model(family, read_model(result.arrays), task),
            Cost.of(family, task),
            grid.traffic.up,
            grid.traffic.down,
            training_flops(family.multiplies(task) * trial.rounds * scenario.local.epochs * visits),
            tuple(curve),
        )


def sampling(trial: Trial) -> dict[str, Any]:
    """How Flower's strategies choose the clients of a round: as the world model does.

    Where clients come and go, a round takes the share of those that are there, and waits for no more.
    """
    everyone = isinstance(trial.scenario.availability, Always)
    clients = len(trial.federation.clients) if everyone else 1
    asked = max(1, round(trial.scenario.fraction * clients))
    return {
        "fraction_train": trial.scenario.fraction,
        "fraction_evaluate": 0.0,
        "min_train_nodes": asked,
        "min_available_nodes": clients,
    }
