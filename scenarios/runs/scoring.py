"""What a trained method is worth: on the union test, on local tests, on held-out samples, and how sure it is."""

from dataclasses import dataclass
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.samples import UNKNOWN_CLIENT, FederatedData, Samples
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


@torch.no_grad()
def on_local(trained: Contender, federation: FederatedData) -> float | None:
    """The mean score on each client's own test samples, every client counting once; None where no client has any."""
    local = [
        federation.task.score(trained.answer(own.test.inputs, np.full(len(own.test), number)), own.test.targets)
        for number, own in enumerate(federation.clients)
        if len(own.test)
    ]
    return float(np.mean(local)) if local else None


@torch.no_grad()
def on_held_out(trained: Contender, federation: FederatedData) -> float:
    """The score on the samples held out inside the federation, by which all choices are made.

    Answers that are not finite are worse than any others.
    """
    held_out, _ = held_out_samples(federation)
    answers = trained.answer(held_out.inputs, np.full(len(held_out), UNKNOWN_CLIENT))
    return federation.task.score(answers, held_out.targets) if bool(answers.isfinite().all()) else -inf
