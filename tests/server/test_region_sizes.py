"""Worlds of experts of several sizes, and no client trains more than its device can."""

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

GROWING = ROUNDS | {
    "sizes.kind": "tiers",
    "sizes.widths": [1.0, 0.25],
    "experts.rounds": 2,
    "growth.sizes": [{"width": 0.5}, {}],
    "growth.residual": 9.0,
    "growth.budget": 12_000,
}
"""Within the budget some of the five experts can become whole, and the others stay at half the width."""


def federated(engine):
    config = run_config("digits", GROWING, 0)
    opened = open_run(config)
    clients = len(opened.federation().clients)
    return federate(engine.grid(clients, config), opened.scenario, opened.federation().task, clients), opened


@pytest.fixture(scope="module")
def several():
    return federated(HERE)


def test_each_expert_has_the_tensors_of_its_size(several):
    outcome, opened = several
    world, model = outcome.world, opened.scenario.model
    assert set(world.design.sizes) == {Size(width=0.5), Size()}
    for region, size in enumerate(world.design.sizes):
        family, task = specialised(model, world.design.task, None, 1)
        wanted = {name: (1, *shape) for name, shape in family.shapes(task, size).items()}
        assert shapes(world.experts[region].parameters) == wanted
    whole = sum(model.parameters(world.design.task, size) for size in world.design.sizes)
    assert world.cost_of_experts(1).total_parameters == whole


def test_a_world_of_many_sizes_is_saved_and_cut(several, tmp_path):
    world, inputs = several[0].world, several[1].federation().union_test.inputs
    world.save(tmp_path)
    again = WorldModel.load(tmp_path)
    assert again.design == world.design
    torch.testing.assert_close(again.predict(inputs), world.predict(inputs))
    half = world.at(Size(width=0.5))
    assert set(half.design.sizes) == {Size(width=0.5)}
    half.check()
    assert half.cost_of_experts(1).total_parameters < world.cost_of_experts(1).total_parameters


def test_a_world_that_does_not_know_the_size_of_each_expert_is_refused(several, tmp_path):
    several[0].world.save(tmp_path)
    manifest = tmp_path / "world_model.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"sizes": told["sizes"][1:]}))
    with pytest.raises(ValueError, match="sizes of 4 experts for 5 regions"):
        WorldModel.load(tmp_path)


def test_a_client_trains_the_smaller_of_its_device_s_and_its_region_s_size(several):
    one, opened = several
    other, _ = federated(SERIAL)
    able = [opened.scenario.sizes.of(client, 0).width for client in range(5)]
    assert set(able) == {1.0, 0.25}
    assert all(not record.refused for record in one.history)
    assert one.world.design.sizes == other.world.design.sizes
    found, wanted = one.world.tensors(), other.world.tensors()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-5, atol=1e-5)
