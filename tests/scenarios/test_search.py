"""The search for a learning rate: what its factor changes."""

from dataclasses import replace

import pytest

from federation.scenario import open_run, run_config
from scenarios.baselines import Trial
from scenarios.baselines.world import run_world
from scenarios.engines import HERE
from tests.small import ROUNDS


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
