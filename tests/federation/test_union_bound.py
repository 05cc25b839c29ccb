"""The union bound: its parts by hand, and that the routed experts never err more."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from federation.data.samples import UNKNOWN_CLIENT, FederatedData, Samples
from federation.routing import ChartPosterior
from federation.tasks import Regression
from federation.world.union_bound import union_bound
from tests.federation.test_world_model import QUERIES, world


def asked(targets, clients):
    return FederatedData(
        task=world().design.task,
        clients=[],
        union_test=Samples(QUERIES[: len(targets)], torch.tensor(targets)),
        union_client=np.array(clients),
        union_group=np.array(clients),
        client_domain=np.zeros(2, dtype=np.int64),
        domain_names=("all",),
    )


@pytest.fixture
def model():
    made = world(composition={"mixture": 1.0})
    design = made.design.model_copy(update={"router": ChartPosterior(top=1), "region_of_client": (0, 1, 2, 3)})
    return replace(made, design=design, router={})


def test_where_every_route_is_right_the_whole_errs_as_its_regions_do(model):
    first = model.route(QUERIES).argmax(1)
    answers = model.predict(QUERIES).argmax(1)
    found = union_bound(model, asked(answers.tolist(), first.tolist()))
    assert (found.measured, found.routed, found.regions, found.routing, found.bound) == (0, 0, 0, 0, 0)
    wrong = union_bound(model, asked(((answers + 1) % 3).tolist(), first.tolist()))
    assert (wrong.measured, wrong.regions, wrong.routing) == (1, 1, 0)


def test_a_wrong_route_counts_once(model):
    first = model.route(QUERIES).argmax(1)
    answers = model.predict(QUERIES).argmax(1).tolist()
    found = union_bound(model, asked(answers, ((first + 1) % 4).tolist()))
    assert found.routing == 1
    assert found.routed == 0
    assert found.routed <= found.bound


def test_only_samples_of_known_clients_count(model):
    first = model.route(QUERIES).argmax(1).tolist()
    answers = model.predict(QUERIES).argmax(1).tolist()
    assert union_bound(model, asked(answers, [UNKNOWN_CLIENT] * len(first))) is None
    stranger = union_bound(model, asked([(answers[0] + 1) % 3, *answers[1:]], [UNKNOWN_CLIENT, *first[1:]]))
    assert stranger.measured == 0


@pytest.mark.parametrize("seed", range(5))
def test_routed_experts_never_err_more_than_the_bound(model, seed):
    draw = np.random.Generator(np.random.PCG64(seed))
    found = union_bound(model, asked(draw.integers(0, 3, len(QUERIES)).tolist(), draw.integers(0, 4, len(QUERIES))))
    assert found.routed <= found.bound + 1e-12


def test_an_error_of_values_is_their_share_of_the_variance():
    task = Regression(input_shape=(1,), outputs=1)
    found = task.errors(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0]]))
    assert found.tolist() == [1.0, 1.0]
