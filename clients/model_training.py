"""Local training of models: of the foundation prior, or of the experts of the members' regions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clients.awake import awake
from clients.distillation import distillation_cost, lifted, taught
from clients.member import Member
from clients.probing import probed
from clients.seen import seen_by
from clients.training import Batch, Column, Objective, Pull, Trained, batches, train
from federation.data.samples import Samples
from federation.learning.experts import Expert, specialised
from federation.models import ElasticFamily, Size
from federation.models.family import Gradient
from federation.models.sizes import turns
from federation.scenario import Scenario
from federation.settings import LocalTraining
from federation.tasks import Task
from federation.tensors import Parameters, accelerator, stacked, under
from federation.wire.contribution import Weighed
from federation.wire.records import Order


@dataclass(frozen=True)
class TrainingJob:
    """One round of local training of one model a client; all models are of one size.

    Attributes:
        starts: each client's model before it.
        samples: of each client.
        clients: their numbers.
        rate: learning rate of this round.
        address: of the draws of batches, with the seed and the client's number.
        pull: towards another model, if any.
    """

    starts: Sequence[Parameters]
    samples: Sequence[Samples]
    clients: Sequence[int]
    local: LocalTraining
    rate: float
    seed: int
    address: tuple[int | str, ...]
    pull: Pull | None = None


@dataclass(frozen=True)
class Term:
    """A further term of a loss.

    Attributes:
        columns: what it needs of each sample.
        gradients: its gradients along a model's outputs, from these and the rows of its columns.
        forwards: what it costs beside, in forward passes of each visited sample.
    """

    columns: Sequence[Column]
    gradients: Callable[[Float[Tensor, "clients batch outputs"], Batch], Float[Tensor, "clients batch outputs"]]
    forwards: float


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models, summed by the region that each order names. A client trains all members of its expert."""
    return train_members(orders, cohort, scenario, task, (orders[0].phase, orders[0].round))


def train_members(
    orders: Sequence[Order],
    cohort: Sequence[Member],
    scenario: Scenario,
    task: Task,
    address: tuple[int | str, ...],
    term: Term | None = None,
    proximal: float = 0.0,
    distilled: bool | None = None,
) -> Weighed:
    """Each client's models after local training, as its order asks.

    Args:
        address: of the draws of batches.
        term: what is minimised beside the task's loss.
        proximal: mu of FedProx, towards the model of the order.
        distilled: whether smaller sizes learn what a client's own says; None: as the rule of sizes has it.
    """
    (experts, starts), first = _received(orders), orders[0]
    expert, size = experts[0], Size(width=first.settings["width"], depth=first.settings["depth"])
    inner = scenario.sizes.inner(size) if distilled is None else scenario.sizes.within(size) * distilled
    family, own = specialised(scenario.model, task, expert.outputs, expert.members)
    samples = [seen_by(each, member.data.train) for member, each in zip(cohort, experts, strict=True)]
    each = [rows for rows in samples for _ in range(expert.members)]
    places = [m.number * expert.members + member for m in cohort for member in range(expert.members)]
    rate = scenario.local.rate(first.progress) * first.settings["learning_rate"]
    pull = Pull(proximal, stacked(starts)) if proximal else None
    job = TrainingJob(starts, each, places, scenario.local, rate, first.seed, address, pull)
    smaller = turns(size, inner, first.seed, *address) if inner else None
    trained = train_models(job, family, own, term, smaller)
    further = probed(orders, cohort, scenario, task)
    further |= _observed(trained, job, experts, (family, own), scenario, first.round)
    multiplies = family.multiplies(own, size) * (1 + (term.forwards if term else 0))
    multiplies += distillation_cost(family, own, size, inner)
    regions, counts = [int(order.settings["region"]) for order in orders], [len(rows) for rows in samples]
    numbers = [member.number for member in cohort]
    return weighed(trained.together(expert.members), numbers, counts, regions, multiplies, further)


def _received(orders: Sequence[Order]) -> tuple[list[Expert], list[Parameters]]:
    """The expert in each order, and the models of all; an order that recurs holds the same tensors, not copies."""
    told = {id(order): Expert.of(under("model", order.tensors)) for order in orders}
    apart = {key: expert.apart() for key, expert in told.items()}
    return [told[id(order)] for order in orders], [model for order in orders for model in apart[id(order)]]


def _observed(
    trained: Trained,
    job: TrainingJob,
    experts: Sequence[Expert],
    kind: tuple[ElasticFamily, Task],
    scenario: Scenario,
    round_: int,
) -> dict[str, Tensor]:
    """Of each client, what its hidden units say and how far its models have moved, where a scenario asks for it."""
    found, members = dict[str, Tensor](), experts[0].members
    if most := scenario.plasticity.samples:
        units = awake(trained.parameters, job.samples, *kind, round_, most)
        found |= {name: t.view(len(experts), members, -1) for name, t in units.items()}
    if scenario.growth.split is not None:
        together = trained.together(members)
        found["moved"] = moves(experts, together.parameters) * together.visited.double()
    return found


def moves(experts: Sequence[Expert], after: Parameters) -> Float[Tensor, " clients"]:
    """||after - before|| / ||before|| of each client, over all coordinates of its models."""
    before = stacked([expert.parameters for expert in experts])
    old, new = (torch.cat([model[name].cpu().flatten(1) for name in before], 1).double() for model in (before, after))
    shares: Tensor = (new - old).norm(dim=1) / old.norm(dim=1).clamp_min(1e-30)
    return shares


def supervised(
    family: ElasticFamily,
    task: Task,
    term: Term | None = None,
    smaller: Iterator[Size | None] | None = None,
) -> Objective:
    """The task's losses of models of a family; the batch's columns are inputs, targets, and those of the term.

    Args:
        smaller: of each step, the size that learns what the models say, if any does.
    """

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Gradient]]:
        inputs, targets, *beside = batch
        outputs, vjp = family.vjp(model, inputs)
        row_losses, gradients = task.descent(outputs, targets)
        if term:
            gradients = gradients + term.gradients(outputs, beside)
        found = vjp(gradients * weights.unsqueeze(-1))
        small = next(smaller) if smaller else None
        if small is None:
            return row_losses, found
        part = family.slice(model, task, small)
        return row_losses, lifted(found, taught(family, task, part, inputs, outputs, weights))

    return objective


def train_models(
    job: TrainingJob,
    family: ElasticFamily,
    task: Task,
    term: Term | None = None,
    smaller: Iterator[Size | None] | None = None,
) -> Trained:
    """Train models down their task's losses.

    Args:
        term: what is minimised beside the task's loss; the losses that come back are the task's alone.
        smaller: of each step, the size that learns what the models say, if any does.
    """
    return train_on(job, supervised(family, task, term, smaller), term.columns if term else ())


def train_on(job: TrainingJob, objective: Objective, columns: Sequence[Column] = ()) -> Trained:
    """Train models down any objective.

    Args:
        columns: further ones that the objective is given after inputs and targets.
    """
    every = [s.inputs for s in job.samples], [s.targets for s in job.samples], *columns
    plan = batches([len(s) for s in job.samples], job.local, job.seed, job.address, job.clients)
    start = {name: tensor.to(accelerator()) for name, tensor in stacked(list(job.starts)).items()}
    pull = job.pull.on(accelerator()) if job.pull else None
    return train(start, objective, every, plan, job.local, job.rate, pull)


def weighed(
    trained: Trained,
    clients: Sequence[int],
    samples: Sequence[int],
    regions: Sequence[int],
    multiplies: float,
    further: Mapping[str, Tensor] | None = None,
) -> Weighed:
    """Each client's model, weighed by its samples, with the sums that say what one round of training did.

    Args:
        multiplies: multiply-adds of one sample's forward pass, and of what else a visit costs.
        further: other sums that come with them.
    """
    visited = trained.visited.double()
    metrics = {"loss": trained.loss.double() * visited, "visited": visited, "multiplies": multiplies * visited}
    metrics |= further or {}
    return Weighed(
        clients,
        regions,
        trained.parameters,
        torch.tensor([float(count) for count in samples]),
        {f"metric/{name}": values for name, values in metrics.items()},
    )
