"""Rules that need each client's own answer, such as Flower's median and Krum, get it from every engine."""

import json

import pytest
import torch
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import FedAvg, FedMedian, Krum

from clients.app import app, serve_cohort
from federation.engine import CohortGrid, Here, SerialGrid
from federation.opening import open_run, run_config
from federation.randomness import torch_generator
from federation.wire.records import read_model, to_arrays
from server.app import federate
from tests.small import ROUNDS

CONFIG = run_config("digits", ROUNDS, 0)
CLIENTS = int(ROUNDS["partition.clients"])
EVERYBODY = {"fraction_evaluate": 0.0, "min_train_nodes": CLIENTS, "min_available_nodes": CLIENTS}
STRATEGIES = {
    "median": lambda: FedMedian(**EVERYBODY),
    "krum": lambda: Krum(num_malicious_nodes=1, **EVERYBODY),
    "mean": lambda: FedAvg(**EVERYBODY),
}


def model(strategy, grid):
    opened = open_run(CONFIG)
    family, task = opened.scenario.model, opened.federation().task
    start = to_arrays(family.init(task, torch_generator(0, "prior")))
    train = ConfigRecord({"learning-rate": 0.1, "rounds": 2, "model": json.dumps(family.dump())})
    return read_model(strategy().start(grid, start, num_rounds=2, train_config=train).arrays)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES.keys())
def test_single_replies_of_a_cohort_are_those_of_its_members_one_by_one(strategy):
    singly = CohortGrid(Here(serve_cohort), CLIENTS, CONFIG, merged=False)
    serial = SerialGrid(app, CLIENTS, CONFIG)
    one_by_one = model(strategy, serial)
    for name, tensor in model(strategy, singly).items():
        torch.testing.assert_close(tensor, one_by_one[name], rtol=1e-5, atol=1e-5)
    assert singly.traffic == serial.traffic


def test_the_world_model_does_not_depend_on_whether_answers_are_merged():
    opened = open_run(CONFIG)
    worlds = [
        federate(
            CohortGrid(Here(serve_cohort), CLIENTS, CONFIG, merged=merged),
            opened.scenario,
            opened.federation().task,
            CLIENTS,
        ).world
        for merged in (True, False)
    ]
    one, other = (world.tensors() for world in worlds)
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-5, atol=1e-5)
