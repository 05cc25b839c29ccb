"""What a method of a comparison gets, and what it must give back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from federation.data.samples import UNKNOWN_CLIENT, FederatedData, Samples
from federation.engine import LocalGrid, Traffic
from federation.models import ElasticFamily
from federation.models.cost import Cost
from federation.opening import Opened, RunConfig, changed, open_run
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, single
from server.app import Outcome
from server.checkpoint import Checkpoint, Checkpoints
from server.schedule import gradient_rounds

Answer = Callable[[Tensor, NDArray[np.int64]], Tensor]
"""Answers to inputs, given the client of each (-1: unknown). Only personalised methods may look at the client.

Methods with context are given a number that samples of one client share; they may look at nothing else.
"""

CURVE_SAMPLES = 1_000


class Grids(Protocol):
    """Makes a fresh grid for a configuration; `merged`: whether one answer may stand for many clients."""

    def __call__(self, config: RunConfig, /, merged: bool = True) -> LocalGrid: ...


@dataclass(frozen=True)
class Run:
    """A finished run of a scenario's phases: what it made, what it cost, and how well it answered on the way."""

    outcome: Outcome
    traffic: Traffic
    training_flops: float
    curve: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Trial:
    """One method, one seed, one learning-rate factor.

    Attributes:
        config: names the scenario and its seed to every process.
        grids: makes a fresh grid for a configuration.
        share: of the rounds that are run; less than one in a search.
        budget: rounds of gradient steps; where it is not set, those of all the world model's phases together.
        world: this seed's world model; None for the world model itself, and where there is none.
        size: parameters of this seed's world model, to which monoliths are sized; None where there is none.
        on_round: called after each round, for progress.
        checkpoints: where a run is written down, if anywhere.
        resumed: what it goes on from.
    """

    config: RunConfig
    grids: Grids
    factor: float = 1.0
    share: float = 1.0
    budget: int | None = None
    world: Run | None = None
    size: Cost | None = None
    on_round: Callable[[], None] = lambda: None
    checkpoints: Callable[[Scenario], Checkpoints | None] = lambda scenario: None
    resumed: Callable[[Scenario], Checkpoint | None] = lambda scenario: None

    @property
    def opened(self) -> Opened:
        """The scenario of this seed, with its data."""
        return open_run(self.config)

    @property
    def scenario(self) -> Scenario:
        """The scenario of this seed."""
        return self.opened.scenario

    @property
    def federation(self) -> FederatedData:
        """The data of this seed."""
        return self.opened.federation()

    @property
    def task(self) -> Task:
        """What is asked."""
        return self.federation.task

    @property
    def rounds(self) -> int:
        """Rounds of gradient steps."""
        whole = gradient_rounds(self.scenario, self.task) if self.budget is None else self.budget
        return max(1, ceil(self.share * whole))

    @property
    def learning_rate(self) -> float:
        """The scenario's local rate times the factor under trial."""
        return self.scenario.local.learning_rate * self.factor

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """The same trial of a scenario with other settings."""
        return replace(self, config=changed(self.config, settings))

    def sized(self, parameters: Callable[[Cost], int]) -> ElasticFamily:
        """The family at one of the world model's sizes; as the scenario has it, where there is no world model.

        Args:
            parameters: which of the sizes.
        """
        family = self.scenario.model
        return family if self.size is None else family.sized_to(self.task, parameters(self.size))

    def probe(self) -> Samples:
        """The union test samples on which learning curves are drawn."""
        return probed(self.federation.union_test)

    def scored(self, answer: Answer, samples: Samples) -> float:
        """The score on samples, their client unknown."""
        return self.task.score(answer(samples.inputs, np.full(len(samples), UNKNOWN_CLIENT)), samples.targets)

    def watched(self, round_: int, answer: Answer) -> tuple[int, float]:
        """The point of the learning curve after so many rounds; the round is reported as done."""
        score = self.scored(answer, self.probe())
        self.on_round()
        return round_, score

    def followed(self, answers: Iterable[Answer]) -> tuple[Answer, tuple[tuple[int, float], ...]]:
        """The last of the answers that a training gives after each of its rounds, and the learning curve of all."""
        curve: list[tuple[int, float]] = []
        for number, latest in enumerate(answers, 1):
            answer = latest
            curve.append(self.watched(number, answer))
        return answer, tuple(curve)

    def finished(self) -> Run:
        """The world model's run, for methods that need it."""
        if self.world is None:
            raise ValueError("this method needs the world model's run; compare runs it first")
        return self.world


@dataclass(frozen=True)
class Contender:
    """A trained method: how it answers, and what it cost.

    `uncalibrated` are its answers before the calibration that it has fitted itself; None where it has fitted none.
    `budgets` is how many times the equal budget it was trained for.
    """

    answer: Answer
    cost: Cost
    bytes_up: int = 0
    bytes_down: int = 0
    training_flops: float = 0.0
    curve: tuple[tuple[int, float], ...] = field(default=())
    uncalibrated: Answer | None = None
    budgets: float = 1.0

    def dump(self) -> dict[str, Any]:
        """Plain data: all but the answers."""
        return {
            "cost": asdict(self.cost),
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "training_flops": self.training_flops,
            "curve": self.curve,
            "budgets": self.budgets,
        }

    @staticmethod
    def load(data: Mapping[str, Any]) -> "Contender":
        """The inverse of `dump`. Its predictions are not kept: to ask for them raises an error."""
        curve = tuple((int(round_), float(score)) for round_, score in data["curve"])
        return Contender(_gone, **{**data, "cost": Cost(**data["cost"]), "curve": curve})


def _gone(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
    raise ValueError("this method was trained before the comparison was resumed; only its scores are known")


class Method(ABC):
    """Contract: train on a trial's data within the world model's budget.

    Attributes:
        name: in tables and JSON.
        title: one line for people.
        searched: whether a learning rate is searched for.
        reuses_world: whether it is made from the world model's own run, whose traffic and training it then counts.
        knows_client: whether the union test, too, tells it the client of each sample. Only the oracle's does.
        context: whether it is told which test samples come from the same client. Tables keep it apart from the others.
    """

    name: str
    title: str
    searched: bool = True
    reuses_world: bool = False
    knows_client: bool = False
    context: bool = False

    @abstractmethod
    def run(self, trial: Trial) -> Contender:
        """Train, and say how to ask."""

    def absent(self, trial: Trial) -> str:
        """Why the method does not apply to this scenario and its data; empty where it does."""
        return ""


def active(size: Cost) -> int:
    """As many parameters as one query of the world model runs."""
    return size.active_parameters


def total(size: Cost) -> int:
    """As many parameters as the whole world model holds."""
    return size.total_parameters


def probed(test: Samples) -> Samples:
    """The first of a test's samples, on which learning curves are drawn."""
    return test.take(np.arange(min(CURVE_SAMPLES, len(test))))


def single_model(family: ElasticFamily, parameters: Parameters, task: Task) -> Answer:
    """Answers of one model that knows no client."""
    alone = single(parameters)

    def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
        return task.answers(family.asked(alone, inputs, task)[0])

    return answer


def training_flops(multiplies: float) -> float:
    """Floating-point operations of training, from its forward passes' multiply-adds; a backward pass costs two."""
    return 6.0 * multiplies
