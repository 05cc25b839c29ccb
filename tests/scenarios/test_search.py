"""The search for a learning rate: what its factor changes."""

from dataclasses import replace
from math import isfinite, nan

import pytest
import torch

from federation.opening import open_run, run_config
from federation.world_model import Cost
from scenarios.baselines import METHODS, Contender, Method, Trial
from scenarios.baselines.world import run_world
from scenarios.compare import compare
from scenarios.engines import HERE
from tests.small import ROUNDS, Quiet


def residuals(factor: float, **overrides: float) -> list[float]:
    """Of each training round of the world model."""
    config = run_config("digits", ROUNDS | {name.replace("__", "."): value for name, value in overrides.items()}, 0)
    opened = open_run(config)
    run = run_world(replace(Trial(opened, HERE.grids(opened, config)), factor=factor))
    return [record.residual for record in run.outcome.history if record.residual is not None]


def test_the_factor_reaches_the_world_models_clients_as_a_factor_on_their_local_rate():
    tried = residuals(0.25)
    assert tried == pytest.approx(residuals(1.0, local__learning_rate=0.025), rel=1e-5)
    assert tried[0] < 0.5 * residuals(1.0)[0]


def test_the_factor_comes_on_top_of_a_phases_own():
    phase_twice = {"prior__learning_rate": 2.0, "experts__learning_rate": 2.0}
    assert residuals(0.5, **phase_twice) == pytest.approx(residuals(1.0), rel=1e-5)


class Diverging(Method):
    """Answers well after short runs at any rate, and after long ones only at rates below the scenario's."""

    name, title = "diverging", "one that diverges"

    def run(self, trial: Trial) -> Contender:
        scale = nan if trial.share == 1 and trial.factor >= 1 else trial.factor
        outputs = trial.task.outputs

        def answer(inputs, clients):
            return torch.full((len(inputs), outputs), scale)

        return Contender(answer, Cost(1, 1, 1))


def test_a_rate_that_diverges_in_the_whole_run_gives_way_to_the_next_best(monkeypatch):
    monkeypatch.setitem(METHODS, "diverging", Diverging())
    settings = ROUNDS | {"search.factors": [0.5, 1.0, 2.0]}
    result = compare("digits", settings, [0, 1], ["diverging"], Quiet(), HERE).dump()
    assert result["learning_rate_factor_per_seed"]["diverging"] == [0.5, 0.5]
    assert isfinite(result["union"]["diverging"]["mean"])
