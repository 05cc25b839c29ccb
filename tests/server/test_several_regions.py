"""Clients whose samples lie in several regions, which are found among their clusters and answered for apart."""

from dataclasses import replace

import pytest
import torch

from clients.app import _answers
from clients.member import Member, Memory
from federation.manifold.clusters import clustered
from federation.opening import open_run, run_config
from federation.phases.responsibility import HELD_OUT, TRAIN
from scenarios.runs.engines import HERE, SERIAL
from server.app import federate
from server.checkpoint import Checkpoints
from server.orders import order
from server.phases import side
from server.phases.contract import Kind, Now, Step
from tests.parity.test_engines import assert_close

SMALL = {"data.limit": 48, "prior.rounds": 1, "experts.rounds": 1, "local.epochs": 1}
CONFIG = run_config("engines", SMALL, 0)
OPENED = open_run(CONFIG)


def federated(engine=HERE, **options):
    federation = OPENED.federation()
    clients = len(federation.clients)
    return federate(engine.grid(clients, CONFIG), OPENED.scenario, federation.task, clients, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, and what it wrote down after the samples were told where they lie."""
    kept = {}

    class All(Checkpoints):
        def write(self, checkpoint):
            super().write(checkpoint)
            kept[checkpoint.history[-1].phase] = self.read()

    folder = tmp_path_factory.mktemp("several")
    return federated(checkpoints=All(folder, OPENED.scenario)), kept


def test_clusters_are_found_where_there_are_some_and_none_where_there_are_none():
    draw = torch.Generator().manual_seed(0)
    apart = torch.cat([torch.randn(40, 2, generator=draw) + 20 * centre for centre in torch.eye(2)])
    found = clustered(apart, most=6, least=5, seed=0)
    assert sorted(torch.bincount(found).tolist()) == [40, 40]
    assert len(set(found[:40].tolist())) == 1
    assert not clustered(torch.randn(200, 2, generator=draw), most=6, least=5, seed=0).any()
    assert not clustered(apart[:7], most=6, least=5, seed=0).any()  # two clusters would have fewer than five
    assert not clustered(apart, most=1, least=5, seed=0).any()


def test_six_operating_points_are_six_regions_in_each_of_which_each_client_has_samples(run):
    outcome, kept = run
    state = kept["responsibility"].state
    assert outcome.world.design.regions == 6
    assert set(state.regions_of_client.values()) == {(0, 1, 2, 3, 4, 5)}


def test_samples_lie_where_their_operating_point_is(run):
    """Settings are the first three inputs; each point is one corner of a cube."""
    inputs = OPENED.federation().union_test.inputs
    point = (inputs[:, :3] > 0).long() @ torch.tensor([4, 2, 1])
    region = run[0].world.route(inputs).argmax(1)
    pairs = set(zip(point.tolist(), region.tolist(), strict=True))
    assert len(pairs) == 6


def test_both_engines_give_the_same_world(run):
    assert_close(federated(SERIAL).world.tensors(), run[0].world.tensors(), 1e-5)


@pytest.mark.parametrize("phase", ["responsibility", "coordinates"])
def test_a_run_goes_on_to_the_same_world_and_clients_that_have_forgotten_are_told_again(run, phase):
    outcome, kept = run
    again = federated(resumed=kept[phase]).world.tensors()
    assert all(torch.equal(again[name], tensor) for name, tensor in outcome.world.tensors().items())
    forgetful = federated(SERIAL, resumed=replace(kept[phase], simulated=None, node_of={})).world.tensors()
    assert_close(forgetful, outcome.world.tensors(), 1e-4)


@pytest.mark.parametrize("phase", ["coordinates", "experts"])
def test_a_client_of_several_regions_sends_what_clients_of_one_region_each_would_send(run, phase):
    before = {"coordinates": "responsibility", "experts": "coordinates"}[phase]
    state, scenario, task = run[1][before].state, OPENED.scenario, OPENED.federation().task
    step = Step(next(p for p in scenario.phases if p.name == phase), 0, 1)
    now = Now(step, state, scenario, task, 24)
    client = OPENED.federation().clients[3]
    memory = Memory()
    memory[TRAIN] = torch.arange(len(client.train)) % 2
    memory[HELD_OUT] = torch.arange(len(client.held_out)) % 2
    asked = order(now, Kind(0, state.size(0, 3, scenario), regions=(0, 1)))
    whole = _answers([asked], [Member(3, client, memory)], OPENED).total([0])
    assert whole.clients == (3,)
    assert set(whole.sums) == {0, 1} <= side(step.phase).homes(now, [3])
    for region in (0, 1):
        half = replace(client, train=client.train.take(torch.arange(region, len(client.train), 2)))
        alone = order(now, Kind(region, state.size(region, 3, scenario)))
        sums = _answers([alone], [Member(3, half, Memory())], OPENED).total([0]).sums[region]
        assert_close(whole.sums[region], sums, 1e-6)


@pytest.mark.parametrize(
    "more",
    [
        {"coupling.rounds": 1},
        {"novelty.spawn_at": 5},
        {"fixed_point.residual": 0.1, "local.schedule": "constant"},
        {"sizes.kind": "tiers"},
    ],
)
def test_what_takes_clients_to_be_of_one_region_is_refused(more):
    with pytest.raises(ValueError, match=r"clusters=1"):
        open_run(run_config("engines", SMALL | more, 0))
