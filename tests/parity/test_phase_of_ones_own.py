"""A phase that a user adds in a scenario's file: simulated by all engines, and resumed."""

import shutil
from pathlib import Path

import pytest
import torch
from flwr.app import ArrayRecord

from clients.app import app
from federation.engine import SerialGrid
from federation.opening import open_run, run_config
from federation.phases import named
from scenarios.runs.engines import HERE
from server.checkpoint import Checkpoints
from server.state import world_model
from server.strategy import ManifoldStrategy
from tests.small import ROUNDS


@pytest.fixture
def config(tmp_path):
    """The scenario's file in a folder that is no package."""
    file = tmp_path / "centred.py"
    shutil.copy(Path(__file__).parents[1] / "centred.py", file)
    return run_config(str(file), ROUNDS, 0)


def run(config, grid=None, **more):
    opened = open_run(config)
    clients = len(opened.federation().clients)
    strategy = ManifoldStrategy(opened.scenario, opened.federation().task, clients, **more)
    strategy.start(grid or HERE.grid(clients, config), ArrayRecord())
    return strategy


def test_its_rounds_come_first_and_find_the_mean_of_all_samples(config):
    strategy = run(config)
    inputs = torch.cat([client.train.inputs for client in open_run(config).federation().clients]).double()
    assert [record.phase for record in strategy.history[:3]] == ["centre", "centre", "census"]
    torch.testing.assert_close(strategy.state.own["centre"]["mean"], inputs.mean(0))


def test_one_client_after_another_gives_the_same_as_all_together(config):
    together, apart = run(config), run(config, SerialGrid(app, 5, config))
    torch.testing.assert_close(together.state.own, apart.state.own)


def test_a_run_that_stopped_between_its_rounds_goes_on_to_the_same_result(config, tmp_path):
    opened = open_run(config)
    kept = []

    class Everything(Checkpoints):
        def keep(self, taken):
            kept.append(taken())
            self.write(kept[-1])

    undisturbed = run(config, checkpoints=Everything(tmp_path / "kept", opened.scenario))
    resumed = run(config, resumed=kept[0])
    assert torch.equal(resumed.state.own["centre"]["mean"], undisturbed.state.own["centre"]["mean"])
    worlds = [world_model(each.state, opened.scenario, opened.federation().task) for each in (resumed, undisturbed)]
    one, other = (world.tensors() for world in worlds)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_answer_that_it_did_not_ask_for_is_refused_and_the_run_goes_on(config):
    opened = open_run(config)
    phase = opened.scenario.phases[0]
    honest = type(phase).client.contribute

    def lying(orders, cohort, scenario, task):
        answers = honest(orders, cohort, scenario, task)
        if cohort[0].number == 2:
            answers.contributions[0].sums[-1]["sum"] = torch.zeros(3, dtype=torch.float64)
        return answers

    type(phase).client.contribute = lying
    try:
        history = run(config, SerialGrid(app, 5, config)).history
    finally:
        type(phase).client.contribute = honest
    assert [record.answered for record in history[:2]] == [4, 4]
    assert "sum" in history[0].refused[0]
    assert "client 2" in history[0].refused[0]


def test_a_phase_that_comes_before_what_it_needs_is_refused():
    scenario = open_run(run_config("digits", ROUNDS, 0)).scenario
    with pytest.raises(ValueError, match="head needs labels; put census before it"):
        type(scenario).model_validate(dict(scenario) | {"phases": (named("head")(), *scenario.phases)})


def test_a_phase_may_come_once():
    scenario = open_run(run_config("digits", ROUNDS, 0)).scenario
    with pytest.raises(ValueError, match="prior is there twice"):
        type(scenario).model_validate(dict(scenario) | {"phases": (*scenario.phases, named("prior")())})
