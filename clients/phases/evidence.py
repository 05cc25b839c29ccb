"""The client downloads the experts that its samples reach once, and remembers what they say of these.

The rounds of the head, the router and the composition then exchange nothing but small networks and sums.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.sums import one_by_one
from federation.learning.experts import Expert, gathered
from federation.phases.evidence import DOWNLOADED, EXPERTS, GENERALIST, LIKELIHOODS
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, under
from federation.wire.contribution import Listed
from federation.wire.records import VARIANCES, Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Nothing leaves but the number of samples that are ready."""

    def sums(order: Order, member: Member) -> Parameters:
        remember(order, member, scenario, task)
        return {"ready": torch.tensor(float(len(member.data.train)), dtype=torch.float64)}

    return one_by_one(orders, cohort, sums)


def remember(order: Order, member: Member, scenario: Scenario, task: Task) -> None:
    """Keep what an order's experts and its prior say of the member's samples."""
    experts, data, regions = gathered(under("experts", order.tensors)), member.data, int(order.settings["regions"])
    prior = Expert(under("prior", order.tensors))
    variances = torch.ones(regions).index_copy(0, torch.tensor(list(experts)), order.tensors[VARIANCES])
    there = torch.zeros(regions).index_fill(0, torch.tensor(list(experts)), 1.0)
    answers = _answers(experts, regions, scenario, task, data.train.inputs)
    member.memory[LIKELIHOODS] = there * _likelihoods(answers, data.train.targets, task, variances)
    member.memory[DOWNLOADED] = there
    member.memory[EXPERTS] = _answers(experts, regions, scenario, task, data.held_out.inputs)
    member.memory[GENERALIST] = prior.answers(scenario.model, task, data.held_out.inputs)


def _answers(
    experts: Mapping[int, Expert], regions: int, scenario: Scenario, task: Task, rows: Tensor
) -> Float[Tensor, "samples regions outputs"]:
    """Each expert's answers to the rows; zeros for one that is not there."""
    answers, features = torch.zeros(len(rows), regions, task.outputs), scenario.experts.features
    for region, expert in experts.items():
        answers[:, region] = expert.answers(scenario.model, task, rows, features)
    return answers


def _likelihoods(
    answers: Float[Tensor, "samples regions outputs"], targets: Tensor, task: Task, variances: Float[Tensor, " regions"]
) -> Float[Tensor, "samples regions"]:
    """What each expert gives to the targets."""
    spread = targets.unsqueeze(1).expand(-1, answers.shape[1], *targets.shape[1:])
    return task.likelihoods(answers, spread, variances)
