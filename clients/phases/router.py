"""Tuning of the gate on -log sum_i g_i(x) p_i(y|x), the experts frozen.

In a share of the loss each row's own expert is masked ("mixloo"): otherwise the gate learns "my own expert", which is
useless for strangers.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.training import Batch
from clients.tuning import tune
from federation.manifold.survey import NEVER
from federation.phases.router import Router
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Each member's weighted router after local training."""
    columns = [[m.memory[kept] for m in cohort] for kept in Router.reads]
    own = torch.tensor([int(order.settings["region"]) for order in orders])
    mixloo = torch.tensor([order.settings["mixloo"] for order in orders]).unsqueeze(1)
    rule = scenario.router.rule

    def losses(router: Parameters, batch: Batch) -> Float[Tensor, "clients batch"]:
        latent, scores, likely = batch
        logits = rule.logits(router, latent, scores)
        others = torch.zeros_like(logits).scatter(2, own.view(-1, 1, 1).expand(*logits.shape[:2], 1), NEVER)
        return (1 - mixloo) * mixture_loss(logits, likely) + mixloo * mixture_loss(logits + others, likely)

    return tune(orders, cohort, losses, columns, scenario.router.local)


def mixture_loss(
    logits: Float[Tensor, "*rows regions"], likelihoods: Float[Tensor, "*rows regions"]
) -> Float[Tensor, "*rows"]:
    """-log sum_i g_i p_i(y|x), in log space."""
    return logits.logsumexp(-1) - (logits + likelihoods.clamp_min(1e-9).log()).logsumexp(-1)
