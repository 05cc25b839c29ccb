"""Ray's workers: their number changes no bit, and neither does the death of one of them."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

from clients.app import serve_cohort
from federation.engine import Asked, CohortGrid, Here
from federation.engine.workers import Queues, RayWorkers
from federation.opening import open_run, run_config
from federation.wire.contribution import EVERYWHERE
from federation.wire.records import ACTION, Order, read_contribution
from scenarios.baselines import METHODS
from scenarios.runs.experiment import Experiment, run
from scenarios.runs.folder import RunFolder
from server.app import federate
from tests.apps import deadly_trial, troubled
from tests.small import ROUNDS, Quiet

CONFIG = run_config("digits", ROUNDS, 0)
CLIENTS, COHORT = int(ROUNDS["partition.clients"]), 2


def model(workers, visit=lambda messages: messages, config=CONFIG):
    opened = open_run(config)
    grid = CohortGrid(workers, CLIENTS, config, cohort=COHORT, visit=visit)
    outcome = federate(grid, opened.scenario, opened.federation().task, CLIENTS, data=opened.federation)
    return outcome.model.tensors(), grid.traffic


def first_round(workers, *troubles, cohort=COHORT):
    grid = CohortGrid(workers, CLIENTS, CONFIG, cohort=cohort)
    body = Order("census", round=0, settings={"region": EVERYWHERE, **dict.fromkeys(troubles, 1.0)}).to_record()
    replies = list(grid.send_and_receive([grid.create_message(body, ACTION, n + 1, "1") for n in range(CLIENTS)]))
    good = [read_contribution(reply.content, "census", [0])[0] for reply in replies if reply.has_content()]
    clients = sorted(client for contribution in good for client in contribution.clients)
    count = sum(float(contribution.everywhere()["samples"]) for contribution in good)
    return clients, count, [reply.error.reason for reply in replies if reply.has_error()]


@pytest.fixture(scope="module")
def here():
    torch.set_num_threads(1)
    return model(Here(serve_cohort))


@pytest.fixture(scope="module")
def two():
    """Workers that most tests share: to start one takes longer than what it is asked."""
    return RayWorkers(troubled, 2)


@pytest.mark.parametrize("count", [1, 2])
def test_any_number_of_workers_gives_the_same_bits_as_none(here, two, count):
    weights, traffic = model(two if count == 2 else RayWorkers(serve_cohort, count))
    assert weights.keys() == here[0].keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in here[0].items())
    assert traffic == here[1]


@pytest.mark.parametrize("name", ["feddf", "fedpft"])
def test_so_it_is_where_the_server_learns_itself(name, two):
    phases = [phase.dump() for phase in METHODS[name].phases(2)]
    config = run_config("digits", ROUNDS | {"phases": phases}, 0)
    (there, sent), (here, expected) = (model(each, config=config) for each in (two, Here(serve_cohort)))
    assert all(torch.equal(there[part], tensor) for part, tensor in here.items())
    assert sent == expected


def test_a_worker_killed_in_mid_round_changes_nothing(two):
    undisturbed = first_round(Here(serve_cohort))
    victim = two.processes()[0]
    threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
    assert first_round(two, "slow") == undisturbed
    assert victim not in two.processes()


def test_a_cohort_for_which_memory_is_too_small_is_served_in_pieces(two):
    assert first_round(two, "hungry", cohort=5) == first_round(Here(serve_cohort), cohort=5)


@pytest.mark.slow
def test_a_node_lost_in_mid_round_changes_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity.two_nodes"], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert (found["workers"], found["nodes"]) == (2, 2)
    assert found["disturbed"] == found["undisturbed"] == found["again"]


def test_a_client_that_kills_its_worker_is_refused_alone(two):
    clients, _, errors = first_round(two, "deadly")
    assert clients == [0, 1, 3, 4]
    assert len(errors) == 1
    assert errors[0].startswith("client 2: its worker died 2 times")


def test_trials_side_by_side_are_those_of_this_process_and_one_whose_worker_dies_fails_alone(tmp_path, monkeypatch):
    changes = {"deadly": {"charts.rank": 1}, "one": {"charts.rank": 2}, "other": {"charts.rank": 3}}
    experiment = Experiment.of("digits", ROUNDS, changes, [0])
    here, there = (RunFolder.create(tmp_path / name, "digits") for name in ("here", "there"))
    expected = run(experiment, here, Quiet(), workers=0)
    monkeypatch.setattr("scenarios.runs.experiment.simulated", deadly_trial)
    lost, *found = run(experiment, there, Quiet(), workers=2)
    assert lost.failure.startswith("WorkerCrashedError")
    assert [(r.variant, r.scores, r.composition) for r in found] == [
        (r.variant, r.scores, r.composition) for r in expected[1:]
    ]


def test_a_worker_serves_its_own_share_first_and_then_helps_the_busiest():
    cohorts = [Asked(ACTION, CONFIG, [node], [0], []) for node in range(6)]
    queues = Queues(cohorts, 2)  # 0, 2, 4 wait for the first worker, 1, 3, 5 for the second
    assert [queues.next(0) for _ in range(4)] == [cohorts[n] for n in (0, 2, 4, 5)]
    assert [queues.next(1) for _ in range(3)] == [cohorts[1], cohorts[3], None]
