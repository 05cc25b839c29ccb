"""Experts are as large as their regions are complex, and no client trains more than its device can."""

import json

import pytest
import torch

from federation.learning.experts import specialised
from federation.models import Size
from federation.opening import open_run, run_config
from federation.tensors import shapes
from federation.world_model import WorldModel
from scenarios.runs.engines import HERE, SERIAL
from server.app import federate
from tests.small import ROUNDS

DIMENSION = {"sizes.kind": "by_dimension", "sizes.widths": [1.0, 0.75, 0.5]}
BOTH = {"sizes.kind": "smaller_of_both", "sizes.device": {"kind": "tiers", "widths": [1.0, 0.5]}}


def federated(sizes, engine=HERE, **options):
    config = run_config("digits", ROUNDS | sizes, 0)
    opened = open_run(config)
    clients = len(opened.federation().clients)
    outcome = federate(engine.grid(clients, config), opened.scenario, opened.federation().task, clients, **options)
    return outcome, opened


@pytest.fixture(scope="module")
def by_dimension():
    return federated(DIMENSION)


def test_each_expert_has_the_size_that_its_region_s_dimension_asks_for(by_dimension):
    outcome, opened = by_dimension
    world, scenario = outcome.world, opened.scenario
    expected = scenario.sizes.of_regions([chart.spacing.dimension for chart in outcome.charts])
    assert world.design.sizes == expected
    assert len(set(expected)) > 1
    for region, size in enumerate(expected):
        family, task = specialised(scenario.model, world.design.task, None, 1)
        wanted = {name: (1, *shape) for name, shape in family.shapes(task, size).items()}
        assert shapes(world.experts[region].parameters) == wanted


def test_rounds_of_small_experts_cost_less(by_dimension):
    outcome, opened = by_dimension
    record = next(record for record in outcome.history if record.phase == "experts")
    model, task = opened.scenario.model, outcome.world.design.task
    cost = [model.multiplies(task, size) for size in outcome.world.design.sizes]
    visited = [len(client.train) for client in opened.federation().clients]
    assert record.multiplies < max(cost) * sum(visited) * 1.5  # the smaller slices are trained beside
    assert outcome.world.cost_of_experts(1).total_parameters == sum(
        model.parameters(task, size) for size in outcome.world.design.sizes
    )


def test_a_world_of_many_sizes_is_saved_and_cut(by_dimension, tmp_path):
    world, inputs = by_dimension[0].world, by_dimension[1].federation().union_test.inputs
    world.save(tmp_path)
    again = WorldModel.load(tmp_path)
    assert again.design == world.design
    torch.testing.assert_close(again.predict(inputs), world.predict(inputs))
    half = world.at(Size(width=0.5))
    assert set(half.design.sizes) == {Size(width=0.5)}
    half.check()
    assert half.cost_of_experts(1).total_parameters < world.cost_of_experts(1).total_parameters


def test_a_world_that_does_not_know_the_size_of_each_expert_is_refused(by_dimension, tmp_path):
    by_dimension[0].world.save(tmp_path)
    manifest = tmp_path / "world_model.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"sizes": told["sizes"][1:]}))
    with pytest.raises(ValueError, match="sizes of 4 experts for 5 regions"):
        WorldModel.load(tmp_path)


def test_a_client_trains_the_smaller_of_its_device_s_and_its_region_s_size():
    one, opened = federated(BOTH)
    other, _ = federated(BOTH, SERIAL)
    able = [opened.scenario.sizes.of(client, 0).width for client in range(5)]
    regions = [size.width for size in one.world.design.sizes]
    assert any(a < r for a, r in zip(able, regions, strict=True))
    assert all(not record.refused for record in one.history)
    assert one.world.design.sizes == other.world.design.sizes
    found, wanted = one.world.tensors(), other.world.tensors()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-5, atol=1e-5)
