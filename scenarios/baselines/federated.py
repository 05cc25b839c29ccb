"""What rivals share that no Flower strategy knows: their clients are trained in this process, a cohort at a time.

The rules are FedAvg's: the same samples, batches, rounds and schedule, and as many parameters as one query of the world
model runs. Everybody is there: what availability and pacing cost the federation, they do not cost these rivals.
"""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from clients.model_training import supervised
from clients.training import Column, Objective, Trained, batches, learning_rate, train
from federation.data.samples import Samples
from federation.engine import Traffic
from federation.models import ElasticFamily, Size
from federation.models.family import FULL
from federation.randomness import generator, torch_generator
from federation.scenario import LocalTraining
from federation.task import Task
from federation.tensors import CACHE, Parameters, accelerator, nbytes, stacked, threads_for
from federation.wire.contribution import EVERYWHERE, Contribution, Weighed
from federation.world_model import Cost
from scenarios.baselines.contract import Answer, Contender, Method, Trial, monolith_cost, training_flops

State = TypeVar("State")
"""All that a method knows between rounds: what its server holds, and what its clients remember."""


@dataclass
class Account(Traffic):
    """What a run has cost so far."""

    flops: float = 0.0


@dataclass(frozen=True)
class Round:
    """One round of a rival: who is asked, and how they are trained.

    Attributes:
        number: from zero.
        account: to which all that is sent and trained is put down.
    """

    trial: Trial
    family: ElasticFamily
    number: int
    account: Account

    @property
    def task(self) -> Task:
        """What is asked."""
        return self.trial.task

    @property
    def local(self) -> LocalTraining:
        """The scenario's local training at the rate under trial."""
        return self.trial.scenario.local.model_copy(update={"learning_rate": self.trial.learning_rate})

    @property
    def rate(self) -> float:
        """Learning rate of this round."""
        return learning_rate(self.local, self.number / self.trial.rounds)

    @property
    def objective(self) -> Objective:
        """The task's losses on inputs and targets."""
        return supervised(self.family, self.task)

    @cached_property
    def clients(self) -> Sequence[int]:
        """Those who are asked: the scenario's share of them, the same for every rival."""
        scenario, clients = self.trial.scenario, len(self.trial.federation.clients)
        asked = max(1, round(scenario.fraction * clients))
        draw = generator(scenario.seed, "cohort", self.number)
        return sorted(draw.choice(clients, asked, replace=False).tolist())

    def cohorts(
        self, kind: Callable[[int], Hashable] = lambda client: None, among: Sequence[int] | None = None
    ) -> Iterator[list[int]]:
        """The clients of the round, or others, in groups that are trained at once: of one kind, as many as fit the
        cache."""
        at_once = self.family.at_once(self.task, self.local.batch_size, CACHE)
        kinds: dict[Hashable, list[int]] = {}
        for client in self.clients if among is None else among:
            kinds.setdefault(kind(client), []).append(client)
        for members in kinds.values():
            yield from (members[start : start + at_once] for start in range(0, len(members), at_once))

    def samples(self, client: int) -> Samples:
        """What a client trains on."""
        return self.trial.federation.clients[client].train

    def download(self, cohort: Sequence[int], tensors: Parameters) -> None:
        """Each member receives these tensors."""
        self.account.down += len(cohort) * nbytes(tensors)

    def train(
        self,
        starts: Parameters,
        cohort: Sequence[int],
        objective: Objective | None = None,
        columns: Sequence[Column] = (),
        purpose: str = "fit",
        size: Size = FULL,
    ) -> Trained:
        """One round of local training from a model each; by default on the task's losses, in FedAvg's own batches.

        Args:
            starts: models with a leading clients axis, all of `size`.
            columns: further ones that the objective is given after inputs and targets.
            purpose: address of the batches; a second training in the same round has one of its own.
        """
        samples = [self.samples(client) for client in cohort]
        address = (purpose, self.number + 1)
        plan = batches([len(s) for s in samples], self.local, self.trial.scenario.seed, address, cohort)
        here = {name: tensor.to(accelerator()) for name, tensor in starts.items()}
        everything = [s.inputs for s in samples], [s.targets for s in samples], *columns
        multiplies = self.family.multiplies(self.task, size)
        with threads_for(multiplies * plan.step_rows):
            trained = train(here, objective or self.objective, everything, plan, self.local, self.rate)
        self.account.flops += training_flops(multiplies * int(trained.visited.sum()))
        return trained

    def total(self, cohort: Sequence[int], models: Parameters, regions: Sequence[int] | None = None) -> Contribution:
        """What the members send: their models weighed by samples, each under its region; a model that is not finite is
        refused, as everywhere.

        Args:
            models: with a leading clients axis.
            regions: everywhere, where there are none.
        """
        self.account.up += nbytes(models)
        weights = torch.tensor([float(len(self.samples(client))) for client in cohort])
        answers = Weighed(cohort, regions or [EVERYWHERE] * len(cohort), models, weights, {})
        return answers.total([member for member, good in enumerate(answers.finite()) if good])

    def losses(self, models: Sequence[Parameters], client: int) -> Float[Tensor, "samples models"]:
        """What each of several models loses on each of a client's training samples."""
        rows = self.samples(client)
        outputs = self.family.asked(stacked(list(models)), rows.inputs, self.task)
        self.account.flops += 2.0 * self.family.multiplies(self.task) * len(models) * len(rows)
        return self.task.losses(outputs, rows.targets.expand(len(models), *rows.targets.shape)).T


class Federated(Method, Generic[State]):
    """Contract: a state before the first round, the next state after each, and how to ask it."""

    def family(self, trial: Trial) -> ElasticFamily:
        """The models that are trained: as many parameters as one query of the world model runs."""
        assert trial.size is not None
        return trial.scenario.model.sized_to(trial.task, trial.size.active_parameters)

    @staticmethod
    def fresh(trial: Trial, family: ElasticFamily, *address: int | str) -> Parameters:
        """A model before training. Without an address it is the one from which FedAvg, too, begins."""
        return family.init(trial.task, torch_generator(trial.scenario.seed, *(address or ("prior",))))

    @abstractmethod
    def begin(self, trial: Trial, family: ElasticFamily) -> State:
        """The state before the first round."""

    @abstractmethod
    def round(self, state: State, now: Round) -> State:
        """The state after one more round."""

    @abstractmethod
    def answer(self, state: State, trial: Trial, family: ElasticFamily) -> Answer:
        """How a state answers."""

    def cost(self, trial: Trial, family: ElasticFamily) -> Cost:
        """What a query of the trained method takes."""
        return monolith_cost(family, trial.task)

    def run(self, trial: Trial) -> Contender:
        family, account = self.family(trial), Account()
        states = self.states(trial, family, account)
        answer, curve = trial.followed(self.answer(state, trial, family) for state in states)
        return Contender(answer, self.cost(trial, family), account.up, account.down, account.flops, curve)

    def states(self, trial: Trial, family: ElasticFamily, account: Account) -> Iterator[State]:
        """The state after each round."""
        state = self.begin(trial, family)
        for number in range(trial.rounds):
            state = self.round(state, Round(trial, family, number, account))
            yield state
