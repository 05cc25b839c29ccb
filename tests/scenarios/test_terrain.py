"""The terrain: stations measure their own tiles alone, and experts in the tiles' coordinates make one relief of all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from federation.opening import open_run, run_config
from federation.routing import NearestRegion, Windows
from federation.rules import InputError
from federation.settings import DataSettings
from scenarios.library.terrain import TEST, TILES, load, relief
from scenarios.runs.engines import HERE
from scenarios.runs.seams import jump
from server.app import federate

SMALL = {"data.limit": 12_800, "prior.rounds": 1, "experts.rounds": 1, "local.epochs": 1}


@pytest.fixture(scope="module")
def run():
    """A tenth of the training and a third of the heights: the readouts of the tiles answer."""
    config = run_config("terrain", SMALL, 0)
    opened = open_run(config)
    outcome = federate(HERE.grid(TILES**2, config), opened.scenario, opened.federation().task, TILES**2)
    return outcome.world, opened.federation().union_test


def test_heights_are_those_of_the_survey_in_units_of_their_deviation():
    heights, data = relief(), load(DataSettings(limit=1_000), seed=0)
    assert heights.shape == (344, 403)
    rows, columns = heights.shape
    places = data.train.inputs.double().numpy()
    across, down = (np.rint((places[:, axis] + 1) / 2 * (n - 1)).astype(int) for axis, n in ((0, columns), (1, rows)))
    expected = (heights[down, across] - heights.mean()) / heights.std()
    np.testing.assert_allclose(data.train.targets[:, 0].numpy(), expected, atol=1e-5)


def test_each_station_has_a_tile_of_its_own_and_no_height_is_in_training_and_test():
    data = load(DataSettings(limit=20_000), seed=1)
    tiles = data.train.inputs.numpy()[data.group == 10]
    assert tiles.max(0) - tiles.min(0) == pytest.approx(2 / TILES, abs=0.02)
    assert sorted(set(data.group.tolist())) == list(range(TILES**2))
    assert len(data.test) == TEST
    both = torch.cat([data.train.inputs, data.test.inputs])
    assert len(torch.unique(both, dim=0)) == len(both)


def test_more_heights_than_there_are_are_refused():
    with pytest.raises(InputError, match="leave no 10,000 to test on"):
        load(DataSettings(limit=130_000), seed=0)


def test_experts_answer_and_a_query_costs_little(run):
    world, test = run
    assert world.design.composition["mixture"] == 1
    assert world.design.task.score(world.predict(test.inputs), test.targets) > 0.95
    assert world.cost().active_parameters <= 1_500
    assert (
        world.regions.parameters <= world.cost_of_experts(1).active_parameters
    )  # routing costs no more than an expert


def test_windows_join_the_tiles_without_a_jump(run):
    world, test = run
    hard = replace(world, design=world.design.model_copy(update={"router": NearestRegion()}))
    assert isinstance(world.design.router, Windows)
    smooth, torn = jump(world, test), jump(hard, test)
    assert smooth.value < 0.01
    assert torn.value > 0.05
    assert smooth.slope < 0.5 * torn.slope
