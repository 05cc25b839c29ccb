"""Rounds in which regions get readouts in place of trained experts, where these are more often right."""

from dataclasses import replace

import pytest
import torch

from federation.data.samples import Samples
from federation.learning.experts import Expert
from federation.learning.least_squares import moments, refitted
from federation.learning.readout import Readout
from federation.opening import open_run, run_config
from federation.rules import InputError
from federation.tensors import single
from federation.world.confidence import TEMPERATURES
from federation.world_model import WorldModel
from scenarios.runs.engines import HERE
from server.app import federate
from server.phases.selection import nearest, selected
from server.state import Model
from tests.small import ROUNDS

READ = {
    "regions.kind": "shared_regions",
    "regions.count": 2,
    "experts.own_classes": True,
    "experts.readout": {"features": {"kind": "random_features"}, "ridges": [1e-3, 1e-1]},
}
BORROWING = {
    "experts.own_classes": False,
    "experts.readout": {"features": {"kind": "random_features"}, "ridges": [0.1], "borrowed": [0.0, 40.0]},
}


def federated(**more):
    config = run_config("digits", ROUNDS | READ | more, 0)
    opened, before, told = open_run(config), [], []
    federation = opened.federation()

    def observe(record, state):
        told.extend(record.grown)
        if record.phase == "readout":
            before.append(state)

    clients = len(federation.clients)
    outcome = federate(HERE.grid(clients, config), opened.scenario, federation.task, clients, observe)
    taken = [region for region, expert in outcome.world.experts.items() if len(expert.parameters) == 2]
    whole = len(outcome.world.experts)
    assert told == ([f"{len(taken)} of {whole} regions have a readout for their expert"] if taken else [])
    return outcome.world, before[0], opened.scenario, federation


@pytest.fixture(scope="module")
def hardly_trained():
    return federated(**{"local.learning_rate": 1e-4})


def test_where_experts_have_learnt_nothing_all_regions_get_readouts(hardly_trained):
    world, *_ = hardly_trained
    assert all(expert.parameters.keys() == {"head.weight", "head.bias"} for expert in world.experts.values())


def test_a_readout_is_least_squares_on_all_that_the_clients_of_its_region_hold(hardly_trained):
    _, before, scenario, federation = hardly_trained
    for region, (classes, readouts) in enumerate(zip(before.classes, before.readouts, strict=True)):
        regions = zip(federation.clients, before.region_of_client, strict=True)
        samples = Samples.concatenated([c.train for c, own in regions if own == region]).among(classes)
        readout, own = Readout.like(scenario.model, federation.task, scenario.experts.features, len(classes))
        sums = moments(readout.features.apply(samples.inputs), samples.targets, own)
        empty = {name: torch.zeros(shape) for name, shape in readout.shapes(own).items()}
        for number, ridge in enumerate(scenario.experts.readout.ridges):
            wanted = refitted(empty, sums, ridge, federation.task)
            for name, tensor in wanted.items():
                torch.testing.assert_close(readouts[name][number], tensor, rtol=1e-3, atol=1e-4)


def test_its_logits_are_divided_by_the_temperature_that_fits_held_out_samples_best(hardly_trained):
    world, before, *_ = hardly_trained
    for region, expert in world.experts.items():
        tried, taken = before.readouts[region]["head.bias"], expert.parameters["head.bias"]
        scales = [(bias / taken[0]).tolist() for bias in tried]
        assert any(min(max(abs(s / t - 1) for s in scale) for t in TEMPERATURES) < 1e-5 for scale in scales)


def test_the_world_model_is_saved_with_its_readouts_and_costs_what_they_cost(hardly_trained, tmp_path):
    world, _, scenario, federation = hardly_trained
    world.save(tmp_path)
    again = WorldModel.load(tmp_path)
    inputs = federation.union_test.inputs
    torch.testing.assert_close(again.predict(inputs), world.predict(inputs))
    sizes = [
        Readout.like(scenario.model, federation.task, scenario.experts.features, expert.outputs)
        for expert in world.experts.values()
    ]
    assert world.cost_of_experts(asked=2).total_parameters == sum(kind.parameters(own) for kind, own in sizes)
    replace(world, design=world.design.model_copy(update={"readout": None})).save(tmp_path)
    with pytest.raises(InputError, match="expert 0 do not fit"):
        WorldModel.load(tmp_path)


def test_trained_experts_that_are_as_often_right_stay_and_whoever_is_taken_is_at_its_best_temperature():
    expert, readouts = (
        Model({"stem.bias": torch.ones(1, 2), "head.bias": torch.ones(1, 3)}),
        {"head.bias": torch.ones(2, 3)},
    )
    losses = torch.ones(3, len(TEMPERATURES))
    losses[0, 7], losses[2, 4] = 0.75, 0.5
    stays = selected(expert, readouts, {"right": torch.tensor([5.0, 6.0, 5.0]), "losses": losses})
    assert stays.parameters["stem.bias"].tolist() == [[1, 1]]
    assert stays.parameters["head.bias"].tolist() == [[pytest.approx(1 / TEMPERATURES[7])] * 3]
    better = selected(expert, readouts, {"right": torch.tensor([5.0, 5.0, 6.0]), "losses": losses})
    assert {name: t.tolist() for name, t in better.parameters.items()} == {
        "head.bias": [[pytest.approx(1 / TEMPERATURES[4])] * 3]
    }


def test_without_held_out_answers_the_trained_experts_stay():
    losses, right = torch.zeros(2, len(TEMPERATURES)), torch.zeros(2)
    expert = Model({"head.bias": torch.ones(1, 3)})
    found = selected(expert, {"head.bias": torch.zeros(1, 3)}, {"right": right, "losses": losses})
    assert found.parameters["head.bias"].tolist() == [[1, 1, 1]]


def test_a_region_that_nobody_answered_for_has_a_readout_that_says_nothing():
    _, before, scenario, federation = federated()
    assert all(len(readouts["head.bias"]) == 2 for readouts in before.readouts)
    silent = {name: torch.zeros_like(t[0]) for name, t in before.readouts[0].items()}
    expert = Expert(single(silent), before.classes[0])
    said = expert.answers(scenario.model, federation.task, federation.union_test.inputs[:3], scenario.experts.features)
    assert said[:, before.classes[0]].unique().tolist() == [pytest.approx(1 / len(before.classes[0]))]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"sizes.kind": "tiers"}, "readouts have one size"),
        ({"experts.readout": BORROWING["experts.readout"]}, "regions that borrow samples answer the same classes"),
        ({"novelty.spawn_at": 5}, "readouts do not grow"),
        ({"experts.readout": {"features": {"kind": "flat"}}}, "flat are as many as their input makes"),
        ({"experts.readout": {"features": {"kind": "gabor_energies"}}}, "gabor_energies reads images"),
    ],
)
def test_what_readouts_cannot_do_is_refused_before_anything_runs(more, line):
    with pytest.raises(InputError, match=line):
        open_run(run_config("digits", ROUNDS | READ | more, 0)).federation()


def test_a_region_that_borrows_is_fitted_to_its_own_sums_and_a_share_of_the_whole_federation_s():
    _, before, scenario, federation = federated(**BORROWING)
    readout, own = Readout.like(scenario.model, federation.task, scenario.experts.features, None)
    pairs = list(zip(federation.clients, before.region_of_client, strict=True))

    def summed(regions: set[int]) -> dict[str, torch.Tensor]:
        samples = Samples.concatenated([client.train for client, region in pairs if region in regions])
        return moments(readout.features.apply(samples.inputs), samples.targets, own)

    whole = summed({0, 1})
    empty = {name: torch.zeros(shape) for name, shape in readout.shapes(own).items()}
    for region, readouts in enumerate(before.readouts):
        mine = summed({region})
        joint = {name: mine[name] + 40 / whole["products"][-1] * whole[name] for name in mine}
        for place, sums in enumerate((mine, joint)):
            for name, tensor in refitted(empty, sums, 0.1, own).items():
                torch.testing.assert_close(readouts[name][place], tensor, rtol=1e-3, atol=1e-4)


def test_of_values_the_candidate_with_the_least_squared_error_is_taken_with_that_as_its_variance():
    expert, readouts = Model({"stem.bias": torch.ones(1, 2)}, variance=7.0), {"head.bias": torch.tensor([[1.0], [2.0]])}
    found = nearest(expert, readouts, {"losses": torch.tensor([4.0, 3.0, 1.0]), "count": torch.tensor(8.0)})
    assert (found.parameters["head.bias"].tolist(), found.variance) == ([[2.0]], 2 * 1 / 8)
    kept = nearest(expert, readouts, {"losses": torch.tensor([2.0, 3.0, 3.0]), "count": torch.tensor(8.0)})
    assert (kept.parameters, kept.variance) == (expert.parameters, 2 * 2 / 8)
    assert nearest(expert, readouts, {"losses": torch.zeros(3), "count": torch.tensor(0.0)}) is expert


def test_values_have_a_head_and_readouts_too(tmp_path):
    features = {"kind": "fourier_features", "count": 64}
    settings = {
        "data.limit": 400,
        "prior.rounds": 1,
        "experts.rounds": 1,
        "router.rounds": 1,
        "experts.readout": {"features": features, "ridges": [0.01], "borrowed": [100.0]},
        "head.features": features,
        "head.hidden": 0,
        "head.ridge": 0.01,
    }
    config = run_config("piecewise", settings, 0)
    opened = open_run(config)
    federation = opened.federation()
    clients = len(federation.clients)
    world = federate(HERE.grid(clients, config), opened.scenario, federation.task, clients).world
    assert set(world.design.composition) == {"mixture", "head", "prior"}
    assert any(expert.parameters.keys() == {"head.weight", "head.bias"} for expert in world.experts.values())
    rows = federation.union_test.inputs
    expected = Samples.concatenated([client.train for client in federation.clients])
    read = world.design.head.features.apply(expected.inputs)
    wanted = refitted(world.head, moments(read, expected.targets, federation.task), 0.01, federation.task)
    torch.testing.assert_close(world.head["head.weight"], wanted["head.weight"], rtol=1e-3, atol=1e-3)
    world.save(tmp_path)
    torch.testing.assert_close(WorldModel.load(tmp_path).predict(rows), world.predict(rows))
