"""A client that comes after charting, with classes that nobody charted, gets a region; nobody else notices."""

from functools import cache

import pytest
import torch

from federation.opening import open_run, run_config
from scenarios.runs.engines import HERE, SERIAL
from server.app import Outcome, federate
from tests.latecomer import PATH
from tests.small import ROUNDS

LATE, NEW = 4, 8
"""The client, and the first of its classes."""


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Four devices are always there; the fifth comes 45 seconds late, after four rounds of ten."""
    path = tmp_path_factory.mktemp("traces") / "trace.csv"
    path.write_text("".join(f"{device},0,1e6\n" for device in range(LATE)) + f"{LATE},45,1e6\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def run(trace):
    @cache
    def started(engine=HERE, sizes="full_size", own_classes=False, **novelty) -> Outcome:
        settings = {name: value for name, value in ROUNDS.items() if name != "partition.clients"}
        settings |= {"availability.kind": "traces", "availability.path": trace, "sizes.kind": sizes}
        settings["experts.own_classes"] = own_classes
        settings |= {"availability.spread": 0.0, "availability.jitter": 0.0}
        config = run_config(PATH, settings | {f"novelty.{name}": value for name, value in novelty.items()}, 0)
        opened = open_run(config)
        grid = engine.grid(LATE + 1, config)
        return federate(grid, opened.scenario, opened.federation().task, LATE + 1)

    return started


def union():
    return open_run(run_config(PATH, {}, 0)).federation().union_test


def score(outcome, part=None):
    """On the classes that only the late client holds."""
    new = union().take(torch.nonzero(union().targets >= NEW).flatten())
    world = outcome.world
    answers = world.parts(world.query(new.inputs), (part,))[part] if part else world.predict(new.inputs)
    return world.design.task.score(answers, new.targets)


def test_a_late_client_spawns_a_region_of_its_own(run):
    outcome = run(spawn_at=50)
    assert outcome.world.design.regions == LATE + 2
    assert outcome.world.design.region_of_client == (0, 1, 2, 3, LATE + 1)
    atlas = outcome.world.atlas
    assert sorted(atlas.label[atlas.region == LATE + 1].tolist()) == [8, 9]


def test_the_world_answers_better_with_it_than_without(run):
    assert score(run()) == 0
    assert score(run(spawn_at=50)) > 0.6


def test_the_spawned_expert_is_trained_by_those_who_found_something_new(run):
    outcome, untrained = run(spawn_at=50), run(spawn_at=50, rounds=0)
    grown = [record for record in outcome.history if record.phase == "spawn_training"]
    assert [record.answered for record in grown] == [1] * 4
    assert score(outcome, "mixture") > score(untrained, "mixture") + 0.3


def test_all_other_regions_stay_bit_by_bit(run):
    before, after = run().world.tensors(), run(spawn_at=50).world.tensors()
    for name, tensor in before.items():
        kept = after[name][tuple(slice(length) for length in tensor.shape)]
        assert torch.equal(kept, tensor), name
    assert after["router/head.weight"].shape[0] == LATE + 2
    assert not after["router/head.weight"][LATE + 1].any()


def test_the_copy_is_of_the_nearest_region_s_expert(run):
    world = run(spawn_at=50, rounds=0).world
    new = world.atlas.region == LATE + 1
    centre = (world.atlas.log_weight[new].softmax(0)[:, None] * world.atlas.mean[new]).sum(0, keepdim=True)
    nearest = int(world.atlas.scores(centre.float())[:, : LATE + 1].argmax())
    copied = world.experts[nearest].parameters
    assert all(torch.equal(tensor, copied[name]) for name, tensor in world.experts[LATE + 1].parameters.items())


def test_an_expert_of_its_own_classes_alone_begins_from_the_prior_with_the_new_ones(run):
    outcome = run(own_classes=True, spawn_at=50)
    assert outcome.world.experts[LATE + 1].classes.tolist() == [8, 9]
    assert score(outcome, "mixture") > 0.5


def test_too_few_novel_samples_spawn_nothing_and_change_nothing(run):
    plain, asked = run(), run(spawn_at=5_000)
    after = asked.world.tensors()
    assert all(torch.equal(tensor, after[name]) for name, tensor in plain.world.tensors().items())
    assert asked.world.design == plain.world.design
    assert [record.answered for record in asked.history if record.phase == "spawn_training"] == [0] * 4
    assert not any(record.refused for record in asked.history)


def test_without_it_nobody_is_asked(run):
    assert {record.phase for record in run().history}.isdisjoint({"spawn", "spawn_training"})


def test_engines_agree_about_what_is_spawned_by_clients_of_many_sizes(run):
    one, other = (run(engine, "tiers", spawn_at=50) for engine in (HERE, SERIAL))
    assert one.world.design.regions == other.world.design.regions == LATE + 2
    for name, tensor in one.world.tensors().items():
        torch.testing.assert_close(other.world.tensors()[name], tensor, rtol=1e-5, atol=1e-5)
