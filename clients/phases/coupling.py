"""The experts' training goes on, and each is drawn to its neighbours where their regions meet.

A client downloads its few neighbours' experts and asks them of its own samples. Nothing about these leaves but the
weighted sums of models. See `federation/manifold/coupling.py`.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.model_training import Term, train_members
from clients.training import Batch
from federation.learning.experts import Expert, gathered, trunk_of
from federation.manifold import Atlas, Encoder
from federation.manifold.coordinates import Coordinates
from federation.manifold.coupling import boundary, mixture
from federation.phases.coupling import SCORES, Coupling
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import under
from federation.wire.contribution import Weighed
from federation.wire.records import VARIANCES, Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted experts, summed by region. They are trained as in further rounds of the experts' phase, with the same
    batches: a region without neighbours, or a strength of zero, changes nothing of that."""
    first = orders[0]
    address = (Coupling().training, int(first.settings["before"]) + first.round)
    others = len(first.tensors[VARIANCES]) - 1
    if not others:
        return train_members(orders, cohort, scenario, task, address)
    said = [_beliefs(order, member, scenario, task) for order, member in zip(orders, cohort, strict=True)]
    strength, temperature = first.settings["strength"], scenario.head.temperature
    members = Expert.of(under("model", first.tensors)).members
    variance = torch.stack([_own_variance(order) for order in orders for _ in range(members)]).view(-1, 1)

    def gradients(outputs: Tensor, batch: Batch) -> Float[Tensor, "clients batch outputs"]:
        scores, beliefs = batch
        own = variance.to(outputs)
        weights = strength * own  # the task's losses are in units of the variance
        if scenario.coupling.confined:
            weights = weights * boundary((temperature * scores).softmax(-1)[..., 0])
        return weights.unsqueeze(-1) * task.divergences(outputs, beliefs, own)[1]

    known = [member.memory[SCORES] for member in cohort]
    columns = [[rows for rows in each for _ in range(members)] for each in (known, said)]
    return train_members(
        orders, cohort, scenario, task, address, Term(columns, gradients, others / scenario.local.epochs / 3)
    )


def _own_variance(order: Order) -> Float[Tensor, ""]:
    """Of the expert that an order holds, in the unit of its own outputs."""
    return order.tensors[VARIANCES][0] / Expert.of(under("model", order.tensors)).unit ** 2


def _beliefs(order: Order, member: Member, scenario: Scenario, task: Task) -> Float[Tensor, "samples outputs"]:
    """What the neighbours say of the member's samples by now; where these lie is remembered once an order tells it."""
    memory, rows = member.memory, member.data.train.inputs
    variances = order.tensors[VARIANCES]
    if atlas := under("atlas", order.tensors):
        rule = scenario.encoders[int(order.settings["encoder"])]
        trunk = trunk_of(scenario.model, under("prior", order.tensors))
        latent = Encoder(rule, under("encoder", order.tensors), trunk)(rows)
        memory[SCORES] = Atlas.from_tensors(len(variances), atlas).relative_scores(latent)
    experts = gathered(under("neighbours", order.tensors)).values()
    answers = torch.stack([expert.answers(scenario.model, task, rows) for expert in experts])
    doubted = variances[1:].clamp_min(float(variances[0]))  # outside its region nobody is surer than the one at home
    beliefs = task.beliefs(answers, doubted.unsqueeze(1))
    if seen := Coordinates.of(under("model", order.tensors)):
        beliefs = task.relative(beliefs, seen.tangent(rows), float(seen.unit))
    return mixture(beliefs, scenario.head.temperature * memory[SCORES][:, 1:])
