"""Grids in one process: faster ones equal the serial one, and a client that fails fails alone."""

from dataclasses import dataclass

import pytest
import torch
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from hypothesis import given
from hypothesis import strategies as st

from clients.app import app, serve_cohort
from federation.engine import CohortGrid, Here, LocalGrid, SerialGrid, Traffic
from federation.engine.cohort import evenly, grouped
from federation.engine.local import payload
from federation.opening import open_run, run_config
from federation.wire.contribution import EVERYWHERE
from federation.wire.records import ACTION, Order, read_contribution
from federation.world_model import WorldModel
from server.app import federate

CLIENTS = 5
OVERRIDES = {
    "partition.clients": CLIENTS,
    "data.limit": 300,
    "model.width": 8,
    "local.optimizer": {"kind": "sgd", "momentum": 0.5},
    "prior.rounds": 2,
    "experts.rounds": 1,
    "head.rounds": 1,
    "router.rounds": 1,
}
CONFIG = run_config("digits", OVERRIDES, seed=1)


def serial(clients: int = CLIENTS, **options) -> SerialGrid:
    return SerialGrid(app, clients, CONFIG, **options)


def cohort(clients: int = CLIENTS, **options) -> CohortGrid:
    return CohortGrid(Here(serve_cohort), clients, CONFIG, **options)


both = pytest.mark.parametrize("grid", [serial, cohort], ids=["serial", "cohort"])


@dataclass(frozen=True)
class Run:
    world: WorldModel
    traffic: Traffic
    answered: list[int]


def run(grid: LocalGrid) -> Run:
    opened = open_run(CONFIG)
    outcome = federate(grid, opened.scenario, opened.federation().task, CLIENTS)
    return Run(outcome.world, grid.traffic, [record.answered for record in outcome.history])


@pytest.fixture(scope="module")
def reference() -> Run:
    return run(serial())


def tensors(world: WorldModel) -> dict[str, torch.Tensor]:
    return world.tensors()


def orders(grid: LocalGrid, nodes: list[int]) -> list[Message]:
    body = Order("census", round=0, settings={"region": EVERYWHERE}).to_record()
    return [grid.create_message(body, ACTION, node, "1") for node in nodes]


def asked(grid: LocalGrid, nodes: list[int]) -> list[Message]:
    return list(grid.send_and_receive(orders(grid, nodes)))


# --- parity ----------------------------------------------------------------------------------------------------------


def test_the_runs_of_these_tests_have_clients_of_different_sizes():
    assert len({len(client.train) for client in open_run(CONFIG).federation().clients}) > 1


@pytest.mark.parametrize("size", [1, 2, 64])
def test_cohorts_of_any_size_give_the_model_of_the_serial_grid(reference, size):
    other = run(cohort(cohort=size))
    expected, actual = tensors(reference.world), tensors(other.world)
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor, rtol=1e-5, atol=1e-5)
    assert other.world.design.composition == reference.world.design.composition
    assert other.world.design.novelty_threshold == pytest.approx(reference.world.design.novelty_threshold, rel=1e-5)
    queries = open_run(CONFIG).federation().union_test.inputs
    torch.testing.assert_close(other.world.predict(queries), reference.world.predict(queries), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [2, 64])
def test_a_reply_that_stands_for_many_counts_the_bytes_of_all(reference, size):
    other = run(cohort(cohort=size))
    assert other.traffic == reference.traffic
    assert other.answered == reference.answered
    assert reference.traffic.up > 0 < reference.traffic.down


def test_clients_may_be_visited_in_any_order(reference):
    other = run(cohort(cohort=2, visit=lambda messages: list(reversed(messages))))
    for name, tensor in tensors(reference.world).items():
        torch.testing.assert_close(tensors(other.world)[name], tensor, rtol=1e-5, atol=1e-5)


# --- one round -------------------------------------------------------------------------------------------------------


@both
def test_all_clients_are_in_the_sum_of_a_round(grid):
    replies = asked(grid(), [1, 2, 3, 4, 5])
    read = [read_contribution(reply.content, "census", [0]) for reply in replies]
    assert sorted(client for contribution, *_ in read for client in contribution.clients) == [0, 1, 2, 3, 4]
    assert sorted(node for _, nodes, _ in read for node in nodes) == [1, 2, 3, 4, 5]
    rows = sum(len(client.train) for client in open_run(CONFIG).federation().clients)
    assert sum(float(contribution.everywhere()["samples"]) for contribution, *_ in read) == rows


def test_a_cohort_answers_once_for_all_and_a_serial_grid_once_for_each():
    assert [len(asked(grid, [1, 2, 3, 4, 5])) for grid in (serial(), cohort(), cohort(cohort=2))] == [5, 1, 3]


@both
def test_a_client_that_raises_is_named_and_the_others_survive(grid):
    replies = asked(grid(clients=CLIENTS + 1), [1, 2, 3, 4, 5, 6])  # the sixth node holds no client of the federation
    errors = [reply.error for reply in replies if reply.has_error()]
    good = [read_contribution(reply.content, "census", [0])[0] for reply in replies if reply.has_content()]
    assert [error.code for error in errors] == [ErrorCode.CLIENT_APP_RAISED_EXCEPTION]
    assert "client 5: ValueError: partition-id 5 of a federation of 5 clients" in errors[0].reason
    assert sorted(client for contribution in good for client in contribution.clients) == [0, 1, 2, 3, 4]


@both
def test_a_node_that_does_not_exist_is_answered_with_an_error(grid):
    replies = asked(grid(), [2, 99])
    errors = [reply.error for reply in replies if reply.has_error()]
    assert [(error.code, error.reason) for error in errors] == [(ErrorCode.NODE_UNAVAILABLE, "no node 99")]
    assert len(replies) == 2


@both
def test_an_order_that_no_client_understands_is_answered_with_errors(grid):
    made = grid()
    order = Order("charting", round=0)  # without the encoder that it needs
    messages = [made.create_message(order.to_record(), ACTION, node, "1") for node in (1, 2)]
    replies = list(made.send_and_receive(messages))
    assert [reply.has_error() for reply in replies] == [True, True]
    assert [f"client {n}: " in reply.error.reason for n, reply in enumerate(replies)] == [True, True]


@both
def test_progress_counts_every_client_once(grid):
    answered = []
    asked(grid(on_reply=answered.append), [1, 2, 3, 4, 5])
    assert sum(answered) == 5


def test_a_cohort_is_asked_for_models_of_one_size_and_the_largest_come_first():
    grid = cohort()
    narrow, wide = (Order("prior", 0, tensors={"model/w": torch.zeros(n)}).to_record() for n in (2, 3))
    messages = [grid.create_message(body, ACTION, node, "1") for node, body in enumerate((narrow, wide, narrow), 1)]
    assert [[m.metadata.dst_node_id for m in group] for group in grouped(messages)] == [[2], [1, 3]]


@pytest.mark.parametrize(
    ("clients", "most", "size"),
    [(1_000, 246, 100), (1_000, 64, 63), (20, 14, 5), (20, 246, 20), (1, 64, 1), (5, 2, 2), (10, 1, 1)],
)
def test_a_round_is_cut_into_even_cohorts(clients, most, size):
    assert evenly(clients, most) == size


@given(st.integers(1, 5_000), st.integers(1, 300))
def test_no_cohort_is_larger_than_what_fits_or_smaller_than_a_quarter_without_need(clients, most):
    size = evenly(clients, most)
    assert 1 <= size <= most
    assert size >= min(clients, max(1, most // 4))


def test_a_pool_of_a_million_remembers_nothing_of_clients_that_are_not_asked():
    grid = cohort(clients=1_000_000)
    asked(grid, [1, 2])
    assert len(list(grid.get_node_ids())) == 1_000_000
    assert len(grid.states) == 0


# --- nodes and replies -----------------------------------------------------------------------------------------------


def test_node_n_plus_one_holds_partition_n():
    grid = serial()
    assert list(grid.get_node_ids()) == [1, 2, 3, 4, 5]
    configs = [grid.context(node).node_config for node in grid.get_node_ids()]
    assert configs == [{"partition-id": n, "num-partitions": 5} for n in range(5)]
    assert all(dict(grid.context(node).run_config) == CONFIG for node in grid.get_node_ids())


def test_a_reply_can_be_pulled_once():
    grid = serial()
    names = list(grid.push_messages(orders(grid, [1, 2])))
    assert len(set(names)) == 2
    assert [reply.metadata.reply_to_message_id for reply in grid.pull_messages(names)] == names
    assert list(grid.pull_messages(names)) == []


def test_traffic_counts_the_bytes_of_tensors_in_both_directions():
    grid = serial()
    body = Order("census", 0, tensors={"x": torch.zeros(3, 4), "y": torch.zeros((), dtype=torch.float64)})
    replies = list(grid.send_and_receive([grid.create_message(body.to_record(), ACTION, n, "1") for n in (1, 2)]))
    counts = 8 * (1 + 10)  # of samples and of 10 classes, in float64
    assert grid.traffic == Traffic(down=2 * (12 * 4 + 8), up=2 * counts)
    assert [payload(reply) for reply in replies] == [counts, counts]


def test_an_error_weighs_nothing():
    grid = serial()
    assert payload(Message(Error(1, "no"), reply_to=orders(grid, [1])[0])) == 0


@both
def test_clients_are_served_with_one_thread_whatever_the_process_has(grid, monkeypatch):
    seen: list[int] = []

    def noted(*_):
        seen.append(torch.get_num_threads())
        raise ValueError("noted")

    monkeypatch.setattr("clients.app._answers", noted)
    torch.set_num_threads(2)
    try:
        asked(grid(), [1, 2])
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
