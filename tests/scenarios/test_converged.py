"""The monolith that is trained until its held-out loss rests: when it stops, what it keeps, what it looks at."""

from math import nan

import pytest
import torch

from federation.data.samples import Samples
from federation.optimizers import Sgd
from federation.settings import LocalTraining
from federation.tasks import Regression
from scenarios.baselines import METHODS, Contender, Trial
from scenarios.baselines.central_converged import LOWERED, MOST, PATIENCE, Rest
from scenarios.runs.scoring import on_held_out
from tests.scenarios.test_rivals import digits, federation

__all__ = ["federation"]


def rates(losses: list[float]) -> tuple[Rest, list[float]]:
    """What is kept of models 0, 1, ... with these losses, and the rate after each."""
    rest, optimizer = Rest(), torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    schedule, found = rest.schedule(optimizer, 1), list[float]()
    for number, loss in enumerate(losses):
        rest.see({"number": torch.tensor([number])}, loss)
        optimizer.step()
        schedule.step()
        found += schedule.get_last_lr()
    return rest, found


def test_the_rate_is_lowered_where_the_loss_rests_and_training_ends_where_that_does_not_help():
    rest, found = rates([2.0, 1.0] + (PATIENCE - 1) * [1.5])
    assert found[-1] == 1.0
    rest, found = rates([2.0, 1.0] + PATIENCE * [1.5])
    assert found[-1] == pytest.approx(LOWERED)
    assert not rest.reached
    assert rates([2.0, 1.0] + PATIENCE * [1.5] + [0.9] + PATIENCE * [1.5])[1][-1] == pytest.approx(LOWERED**2)
    rest, _ = rates([2.0, 1.0] + 2 * PATIENCE * [1.5])
    assert rest.reached
    assert int(rest.model["number"]) == 1  # the best one, not the last


def test_a_loss_that_is_not_finite_is_never_the_best():
    rest, _ = rates([nan, 3.0, nan, nan])
    assert int(rest.model["number"]) == 1
    assert int(rates([nan, nan])[0].model["number"]) == 0


def converged(trial: Trial) -> Contender:
    return METHODS["central_converged"].run(trial)


def test_it_is_trained_longer_than_the_equal_budget_and_counts_how_much():
    trial = digits()
    found, equal = converged(trial), METHODS["central"].run(trial)
    assert 1 < found.budgets <= MOST
    assert found.training_flops == pytest.approx(found.budgets * equal.training_flops)
    assert equal.budgets == 1
    assert on_held_out(found, trial.federation) > on_held_out(equal, trial.federation)


def noisy(seed: int, rows: int) -> Samples:
    """Values that are mostly noise, which a monolith learns by heart when it is trained for too long."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, 8, generator=draw)
    return Samples(inputs, inputs[:, :1] + torch.randn(rows, 1, generator=draw))


def test_it_keeps_what_answers_held_out_samples_best_and_never_looks_at_the_test(federation):
    local, task = LocalTraining(batch_size=20, optimizer=Sgd()), Regression(input_shape=(8,), outputs=1)
    clients, asked = [noisy(number, 60) for number in range(3)], torch.randn(20, 8)
    found = []
    for test in (noisy(9, 40), noisy(10, 40)):
        trial = federation(clients, [test] * 3, 60, local, task, held_out=0.3)
        found.append(converged(trial))
        equal = METHODS["central"].run(trial)
        assert found[-1].budgets < 1  # it stops before it has learned the noise
        assert on_held_out(found[-1], trial.federation) > on_held_out(equal, trial.federation)
    mine, theirs = (one.answer(asked, torch.zeros(20).long().numpy()) for one in found)
    assert torch.equal(mine, theirs)
