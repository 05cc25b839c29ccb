"""The search for a learning rate: what its factor changes."""

from functools import partial
from math import nan

import pytest
import torch

from federation.data.samples import Samples
from federation.models.cost import Cost
from federation.opening import run_config
from scenarios.baselines import METHODS, Contender, Method, Trial
from scenarios.baselines.world import WORLD
from scenarios.runs.compare import compare
from scenarios.runs.engines import HERE
from scenarios.runs.folder import RunFolder
from scenarios.runs.journal import Journal
from scenarios.runs.rates import searched
from tests.small import ROUNDS, Quiet


def residuals(factor: float, **overrides: float) -> list[float]:
    """Of each training round of the world model."""
    config = run_config("digits", ROUNDS | {name.replace("__", "."): value for name, value in overrides.items()}, 0)
    run = WORLD.finish(Trial(config, HERE.fresh, factor=factor))
    return [record.residual for record in run.outcome.history if record.residual is not None]


def test_the_factor_reaches_the_world_models_clients_as_a_factor_on_their_local_rate():
    tried = residuals(0.25)
    assert tried == pytest.approx(residuals(1.0, local__learning_rate=0.025), rel=1e-5)
    assert tried[0] < 0.5 * residuals(1.0)[0]


def test_the_factor_comes_on_top_of_a_phases_own():
    phase_twice = {"prior__learning_rate": 2.0, "experts__learning_rate": 2.0}
    assert residuals(0.5, **phase_twice) == pytest.approx(residuals(1.0), rel=1e-5)


class Failing(Method):
    """The nearest class mean; after short runs of the more classes the higher the rate, and after whole runs of all,
    but above a rate it answers as it is told."""

    name, title = "failing", "one that fails in whole runs"

    def __init__(self, failure, least=0.5):
        self.failure, self.least = failure, least

    def run(self, trial: Trial) -> Contender:
        train = Samples.concatenated([client.train for client in trial.federation.clients])
        means = torch.stack([train.inputs[train.targets == label].mean(0) for label in range(trial.task.outputs)])

        def answer(inputs, clients):
            if trial.share == 1 and trial.factor > self.least:
                return self.failure(len(inputs), trial.task.outputs)
            answers = -torch.cdist(inputs.flatten(1), means.flatten(1))
            if trial.share < 1:
                answers[:, int(5 * trial.factor) :] = -1e9
            return answers

        return Contender(answer, Cost(1, 1, 1))


def not_a_number(samples, outputs):
    return torch.full((samples, outputs), nan)


def one_class(samples, outputs):
    return torch.eye(outputs)[[3]].expand(samples, outputs)


def factors_and_scores(monkeypatch, method):
    monkeypatch.setitem(METHODS, "failing", method)
    settings = ROUNDS | {"search.factors": [0.5, 1.0, 2.0]}
    result = compare("digits", settings, [0, 1], ["failing"], Quiet(), HERE).dump()
    return result["learning_rate_factor_per_seed"]["failing"], result["union"]["failing"]["per_seed"]


@pytest.mark.parametrize("failure", [not_a_number, one_class])
def test_a_rate_that_fails_in_the_whole_run_gives_way_to_the_next_best(monkeypatch, failure):
    factors, scores = factors_and_scores(monkeypatch, Failing(failure))
    assert factors == [0.5, 0.5]
    assert min(scores) > 0.7


def test_the_best_of_all_is_taken_where_no_rate_learns(monkeypatch):
    factors, scores = factors_and_scores(monkeypatch, Failing(one_class, least=0))
    assert factors[0] == factors[1]
    assert max(scores) < 0.2


def test_a_search_that_was_stopped_tries_no_rate_twice(tmp_path):
    """What was tried is written down rate by rate; whoever goes on begins with the next."""

    class Counting(Failing):
        def __init__(self):
            super().__init__(one_class)
            self.tried = []

        def run(self, trial):
            self.tried.append(trial.factor)
            if len(self.tried) == 3:
                raise KeyboardInterrupt
            return super().run(trial)

    method, folder = Counting(), RunFolder.create(tmp_path / "run", "x")
    trial = Trial(run_config("digits", ROUNDS | {"search.factors": [0.5, 1.0, 2.0]}, 0), HERE.fresh)
    with pytest.raises(KeyboardInterrupt):
        searched(method, trial, Quiet(), {}, partial(Journal(folder).keep_tried, "failing"))
    again = Journal(folder)
    best = searched(method, trial, Quiet(), again.tried("failing"), partial(again.keep_tried, "failing"))
    assert method.tried[:4] == [0.5, 1.0, 2.0, 2.0]
    assert method.tried.count(0.5) == method.tried.count(1.0) == 1
    assert best[0] == max(Journal(folder).tried("failing").items(), key=lambda pair: pair[1])[0]
