"""FedAvg by Flower's own strategy, over the same grid and the same client as the world model."""

import json
import random
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAvg as FlowerFedAvg

from federation.randomness import torch_generator
from federation.timing.availability import Always
from federation.wire.records import read_model, to_arrays
from federation.world_model import Cost
from scenarios.baselines.contract import Contender, Method, Trial, monolith_cost, single_model, training_flops
from server.app import ROUND_TIMEOUT


class FedAvg(Method):
    """One global model, as many parameters as one query of the world model runs. Source: McMahan et al. (2017)."""

    name, title = "fedavg", "FedAvg, equal active parameters"

    def parameters(self, size: Cost) -> int:
        """To which of the world model's sizes the global model is made equal."""
        return size.active_parameters

    def strategy(self, trial: Trial) -> FlowerFedAvg:
        """Flower's strategy."""
        return FlowerFedAvg(**sampling(trial))

    def run(self, trial: Trial) -> Contender:
        assert trial.size is not None
        task, scenario, grid = trial.task, trial.scenario, trial.grid()
        family = scenario.model.sized_to(task, self.parameters(trial.size))
        curve: list[tuple[int, float]] = []

        def observe(number: int, arrays: ArrayRecord) -> MetricRecord | None:
            if number:
                curve.append(trial.watched(number, single_model(family, read_model(arrays), task)))
            return None

        random.seed(scenario.seed)  # Flower draws the nodes of a round from the global generator
        result = self.strategy(trial).start(
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
            monolith_cost(family, task),
            grid.traffic.up,
            grid.traffic.down,
            training_flops(family.multiplies(task) * trial.rounds * scenario.local.epochs * visits),
            tuple(curve),
        )


class FedAvgTotal(FedAvg):
    """As many parameters as the whole world model holds."""

    name, title = "fedavg_total", "FedAvg, equal total parameters"

    def parameters(self, size: Cost) -> int:
        return size.total_parameters


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
