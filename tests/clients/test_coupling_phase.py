"""The coupling phase of a client: one step by hand, what it remembers, and when it is nothing but training."""

from dataclasses import replace

import pytest
import torch

from clients import model_training
from clients.member import Member, Memory
from clients.phases import coupling
from clients.phases.coupling import SCORES
from federation.data.partition import Iid
from federation.data.samples import ClientData, Samples
from federation.learning.experts import Expert, scattered
from federation.manifold.coupling import mixture
from federation.models import Mlp
from federation.scenario import Scenario
from federation.settings import CouplingSettings, LocalTraining
from federation.tasks import Regression
from federation.tensors import prefixed, single, under
from federation.wire.records import VARIANCES, Order
from server.aggregation import Mean

VALUE = Regression(input_shape=(1,), outputs=1)
SCENARIO = Scenario(
    name="small",
    title="A small one",
    partition=Iid(),
    model=Mlp(width=1, blocks=0),
    aggregation=Mean(),
    local=LocalTraining(learning_rate=0.1),
    coupling=CouplingSettings(rounds=4),
)
OWN, NEIGHBOUR = 0.25, 0.25
"""Variances."""


def net(stem: float, head: float, bias: float) -> dict[str, torch.Tensor]:
    """f(x) = head relu(stem x) + bias."""
    weights = {"stem.weight": [[stem]], "stem.bias": [0.0], "head.weight": [[head]], "head.bias": [bias]}
    return {name: torch.tensor(value) for name, value in weights.items()}


def member(number: int, inputs: list[float], targets: list[float], scores: list[float] | None = None) -> Member:
    """A client; with scores of its own region and of one neighbour, the same at all its samples."""
    samples, none = (Samples(torch.tensor([x]).T, torch.tensor([y]).T) for x, y in ((inputs, targets), ([], [])))
    memory = Memory()
    if scores:
        memory[SCORES] = torch.tensor([scores] * len(inputs))
    return Member(number, ClientData(samples, none, none), memory)


def order(strength: float, neighbours: list[dict[str, torch.Tensor]], variances: list[float], round_: int = 0) -> Order:
    """Of an expert f(x) = relu(x)."""
    tensors = prefixed("model", single(net(1.0, 1.0, 0.0))) | {VARIANCES: torch.tensor(variances)}
    around = {place: Expert(single(neighbour)) for place, neighbour in enumerate(neighbours)}
    tensors |= prefixed("neighbours", scattered(around))
    settings = {"region": 0, "width": 1.0, "depth": 1.0, "learning_rate": 1.0, "before": 3, "strength": strength}
    return Order("coupling", round_, 0.0, 5, settings, tensors)


def model(answers, place: int = 0) -> dict[str, float]:
    return {name: float(tensor[place]) for name, tensor in answers.parameters.items()}


EVEN = [0.0, 0.0]
CONSTANT = net(1.0, 0.0, 3.0)
"""A neighbour that says 3 everywhere."""


def test_one_step_at_a_boundary_goes_down_the_loss_and_the_divergence():
    """f = 1, y = 0, q = N(3, 1/4), b = 1: df is 1 + strength b (1/4 / 1/4) (1 - 3) = 1 - 2 strength."""
    done = coupling.contribute(
        [order(0.25, [CONSTANT], [OWN, NEIGHBOUR])], [member(0, [1.0], [0.0], EVEN)], SCENARIO, VALUE
    )
    expected = {"stem.weight": 0.95, "stem.bias": -0.05, "head.weight": 0.95, "head.bias": -0.05}
    assert model(done) == pytest.approx(expected, abs=1e-6)
    assert float(done.metrics["metric/loss"]) == 0.5  # of the samples alone


def test_a_neighbour_is_no_surer_of_a_client_s_samples_than_the_client_s_own_expert_but_may_be_less_sure():
    """A variance of 1 beside an own one of 1/4 pulls by a quarter; one of 1/16 pulls as 1/4 does."""
    steps = [
        model(
            coupling.contribute([order(0.25, [CONSTANT], [OWN, v])], [member(0, [1.0], [0.0], EVEN)], SCENARIO, VALUE)
        )
        for v in (1.0, 1 / 16)
    ]
    assert [step["head.bias"] for step in steps] == pytest.approx([-0.1 * (1 - 0.125), -0.05], abs=1e-6)


def test_far_from_the_boundary_a_client_trains_as_if_alone_unless_coupling_is_everywhere():
    sent, inside = order(1.0, [CONSTANT], [OWN, NEIGHBOUR]), [0.0, -1e3]
    everywhere = SCENARIO.model_copy(update={"coupling": CouplingSettings(rounds=4, confined=False)})
    confined, free = (
        model(coupling.contribute([sent], [member(0, [1.0], [0.0], inside)], scenario, VALUE))["head.bias"]
        for scenario in (SCENARIO, everywhere)
    )
    assert (confined, free) == pytest.approx((-0.1, 0.1), abs=1e-6)


def test_what_the_neighbours_say_is_asked_anew_each_round_and_a_member_s_own_step_changes_nothing_of_it(monkeypatch):
    """The mixture is what the downloaded experts say; so however far the own model goes, q stays."""
    said = []
    monkeypatch.setattr(coupling, "mixture", lambda *asked: said.append(mixture(*asked)) or said[-1])
    for round_, (says, target) in enumerate([(3.0, 0.0), (5.0, 0.0), (5.0, 100.0)]):
        sent = order(0.25, [net(1.0, 0.0, says)], [OWN, NEIGHBOUR], round_)
        coupling.contribute([sent], [member(0, [1.0], [target], EVEN)], SCENARIO, VALUE)
    assert [float(q[0, 0]) for q in said] == [3.0, 5.0, 5.0]
    assert not said[-1].requires_grad


@pytest.mark.parametrize(("strength", "neighbours"), [(0.0, [CONSTANT]), (1.0, [])], ids=["strength zero", "alone"])
def test_without_strength_or_neighbours_a_round_is_a_further_one_of_the_experts(strength, neighbours):
    people = [member(number, [1.0, -0.5, 2.0], [0.0, 1.0, 4.0], EVEN) for number in range(2)]
    sent = order(strength, neighbours, [OWN, NEIGHBOUR][: 1 + len(neighbours)], round_=2)
    coupled = coupling.contribute([sent] * 2, people, SCENARIO, VALUE)
    plain = replace(sent, phase="experts", round=3 + 2, tensors=prefixed("model", under("model", sent.tensors)))
    expected = model_training.contribute([plain] * 2, people, SCENARIO, VALUE)
    for name, tensor in expected.parameters.items():
        assert torch.equal(coupled.parameters[name], tensor), name


def test_asking_the_neighbours_costs_a_third_of_a_visit_for_each_and_every_sample_once():
    people, sent = [member(0, [1.0], [0.0], EVEN)], order(1.0, [CONSTANT, CONSTANT], [OWN, NEIGHBOUR, NEIGHBOUR])
    people[0].memory[SCORES] = torch.zeros(1, 3)
    done = coupling.contribute([sent], people, SCENARIO, VALUE)
    assert float(done.metrics["metric/multiplies"]) == pytest.approx(2 * (1 + 2 / 3))


def test_a_client_that_was_never_told_where_its_region_ends_says_so():
    with pytest.raises(KeyError, match=r"remembers no 'coupling/scores'"):
        coupling.contribute([order(1.0, [CONSTANT], [OWN, NEIGHBOUR])], [member(0, [1.0], [0.0])], SCENARIO, VALUE)


def test_memory_keeps_what_was_remembered_before_beside_what_is_new():
    first = Memory()
    first["old"], first["changed"] = torch.ones(2), torch.zeros(1)
    second = Memory(first.record())
    second["changed"], second["new"] = torch.ones(1), torch.zeros(3)
    third = Memory(second.record())
    assert {name: tensor.tolist() for name, tensor in third.items()} == {
        "old": [1.0, 1.0], "changed": [1.0], "new": [0.0] * 3,
    }  # fmt: skip
