"""The variance of Gaussian heads: the mean squared residual, from sums that every round sends anyway."""

import pytest
import torch
from flwr.app import ArrayRecord

from federation.opening import open_run, run_config
from federation.tasks import LEAST_VARIANCE, Classification, Regression
from scenarios.runs.engines import HERE
from server.history import residual_variance
from server.strategy import ManifoldStrategy

VALUES = Regression(input_shape=(2,), outputs=2)
CLASSES = Classification(input_shape=(2,), outputs=2)


def sums(loss: float, visited: float) -> dict[str, torch.Tensor]:
    return {"metric/loss": torch.tensor(loss), "metric/visited": torch.tensor(visited)}


def test_the_variance_is_the_mean_squared_residual_of_a_coordinate():
    """Ten visits whose half squared errors add up to 5: squared errors of 10, over 20 coordinates."""
    assert residual_variance(sums(5.0, 10.0), VALUES) == pytest.approx(0.5)


def test_a_perfect_model_keeps_a_little_doubt():
    assert residual_variance(sums(0.0, 10.0), VALUES) == LEAST_VARIANCE


@pytest.mark.parametrize(("task", "found"), [(CLASSES, sums(5.0, 10.0)), (VALUES, sums(0.0, 0.0)), (VALUES, {})])
def test_classes_and_models_that_visited_nothing_have_none(task, found):
    assert residual_variance(found, task) is None


def test_experts_start_with_the_prior_s_variance_and_end_with_their_own():
    config = run_config("piecewise", {"prior.rounds": 2, "experts.rounds": 3, "local.epochs": 2}, 0)
    opened = open_run(config)
    task, clients = opened.federation().task, len(opened.federation().clients)
    seen = {}
    strategy = ManifoldStrategy(
        opened.scenario, task, clients, lambda record, state: seen.update({record.number: state})
    )
    strategy.start(HERE.grid(clients, config), ArrayRecord(), num_rounds=8)
    charted, trained = seen[5], seen[8]
    assert {expert.variance for expert in charted.experts} == {seen[3].prior.variance}
    assert len({expert.variance for expert in trained.experts}) == clients
    noise = 0.49
    assert all(noise / 3 < expert.variance < 3 * noise for expert in trained.experts)
