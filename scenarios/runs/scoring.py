"""What a trained method is worth: on the union test, on local tests, on held-out samples, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.samples import UNKNOWN_CLIENT, FederatedData, Samples
from federation.functions import function
from federation.rules import InputError
from federation.world.confidence import (
    calibration_floor,
    calibration_sums,
    expected_calibration_error,
    fitted_calibration,
)
from scenarios.baselines import Contender, Method

SURE = 0.9
"""Probability of the most likely class from which on a method counts as sure, once it is calibrated."""


@dataclass(frozen=True)
class Confidence:
    """Calibration error when calibrated, before that, and by chance alone; share of the samples of which a method is
    sure; score there."""

    ece: float | None = None
    uncalibrated: float | None = None
    floor: float | None = None
    coverage: float | None = None
    covered: float | None = None


@torch.no_grad()
def union_answers(trained: Contender, federation: FederatedData, told: NDArray[np.int64] | None = None) -> Tensor:
    """Answers to one test set from all regions, the client unknown but where something is told of it."""
    union = federation.union_test
    return trained.answer(union.inputs, np.full(len(union), UNKNOWN_CLIENT) if told is None else told)


def on_union(trained: Contender, federation: FederatedData) -> float:
    """The score on one test set from all regions, the client unknown."""
    return federation.task.score(union_answers(trained, federation), federation.union_test.targets)


def told_of(method: Method, federation: FederatedData) -> NDArray[np.int64] | None:
    """What a method is told of the union test samples: their clients, which of them belong together, or nothing."""
    if method.knows_client:
        return federation.union_client
    return federation.union_group if method.context else None


@torch.no_grad()
def on_confidence(
    method: Method, trained: Contender, federation: FederatedData, answers: Tensor | None = None
) -> Confidence:
    """How sure a method is on the union test, and how rightly.

    Who is not calibrated already is so by the same means: of the same calibrations, on the same held-out samples.

    Args:
        answers: to the union test, where they are known already.
    """
    union, (held_out, owner) = federation.union_test, held_out_samples(federation)
    told = told_of(method, federation)
    who = np.full(len(union), UNKNOWN_CLIENT) if told is None else told
    answers = union_answers(trained, federation, told) if answers is None else answers
    if trained.uncalibrated is not None:
        raw = trained.uncalibrated(union.inputs, who)
    else:
        asked = np.full(len(held_out), UNKNOWN_CLIENT) if told is None else owner
        sums = calibration_sums(trained.answer(held_out.inputs, asked), held_out.targets)
        raw, answers = answers, fitted_calibration(sums, answers.shape[1])(answers)
    sure = answers.amax(1) >= SURE
    return Confidence(
        expected_calibration_error(answers, union.targets),
        expected_calibration_error(raw, union.targets),
        calibration_floor(answers),
        float(sure.double().mean()),
        federation.task.score(answers[sure], union.targets[sure]) if bool(sure.any()) else None,
    )


def held_out_samples(federation: FederatedData) -> tuple[Samples, NDArray[np.int64]]:
    """All samples held out inside the federation, and the client of each."""
    parts = [client.held_out for client in federation.clients]
    return Samples.concatenated(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


@dataclass(frozen=True)
class Measured:
    """By what answers are measured beside the task's score.

    Attributes:
        names: of the values that are answered, where there are several.
        own: functions of a user's own of targets and answers, as scikit-learn has them: `module:function`.
    """

    names: Sequence[str] = ()
    own: Sequence[str] = ()

    def floor(self, federation: FederatedData) -> dict[str, float]:
        """What the best constant answer scores on the union test, and how else it is measured.

        Raises:
            InputError: a function cannot be imported, fails, or gives no number.
        """
        task, targets = federation.task, federation.union_test.targets
        return {"score": task.constant_score(targets), **self.of(federation, task.constant(targets))}

    def of(self, federation: FederatedData, answers: Tensor) -> dict[str, float]:
        """Measures of answers to the union test, values in their own units; none of answers that are not finite."""
        task, preparation, targets = federation.task, federation.preparation, federation.union_test.targets
        if not len(targets) or not bool(answers.isfinite().all()):
            return {}
        if not task.classifies:
            answers, targets = (preparation.answers(each.double()) for each in (answers, targets))
        own = {name: _number(name, targets.numpy(), answers.numpy()) for name in self.own}
        return {
            **task.measures(answers, targets, self.names),
            **{n: value for n, value in own.items() if isfinite(value)},
        }


def _number(name: str, targets: NDArray[np.generic], answers: NDArray[np.generic]) -> float:
    """What a user's own function makes of targets and answers."""
    try:
        return float(function(name)(targets, answers))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"metric {name} gives no number: {type(error).__name__}: {error}") from error


@torch.no_grad()
def on_clients(trained: Contender, federation: FederatedData) -> list[float | None]:
    """The score on each client's own test samples; None where these tell nothing."""
    return [
        federation.task.score(trained.answer(own.test.inputs, np.full(len(own.test), number)), own.test.targets)
        if federation.task.scorable(own.test.targets)
        else None
        for number, own in enumerate(federation.clients)
    ]


def on_local(trained: Contender, federation: FederatedData) -> float | None:
    """The mean of these, every client counting once; None where no client has any."""
    return mean_of(on_clients(trained, federation))


def mean_of(scores: Sequence[float | None]) -> float | None:
    """The mean of clients' scores; None where no client has one."""
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else None


def worst_of(scores: Sequence[float | None]) -> float | None:
    """The mean of the lowest tenth of clients' scores."""
    known = sorted(score for score in scores if score is not None)
    return mean_of(known[: ceil(len(known) / 10)])


@torch.no_grad()
def on_held_out(trained: Contender, federation: FederatedData) -> float:
    """The score on the samples held out inside the federation, by which all choices are made.

    Answers that are not finite are worse than any others; where nothing is held out all are alike.
    """
    held_out, _ = held_out_samples(federation)
    if not len(held_out):
        return 0.0
    answers = trained.answer(held_out.inputs, np.full(len(held_out), UNKNOWN_CLIENT))
    return federation.task.score(answers, held_out.targets) if bool(answers.isfinite().all()) else -inf
