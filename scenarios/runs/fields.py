"""The field that each method answers on a grid, where inputs are points of a plane and one value is asked."""

import numpy as np
import torch
from jaxtyping import Float
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from torch import Tensor

from federation.data.samples import UNKNOWN_CLIENT, FederatedData, Samples
from scenarios.baselines import Contender, Method

SIDE = 96
"""Cells along each side of the grid."""
NEAREST = 4
"""Samples from which the measured value of a cell is interpolated, at most."""


def grid(federation: FederatedData) -> Float[Tensor, "cells 2"] | None:
    """Cells that cover the union test, row by row; None where inputs are no points of a plane, or more is asked."""
    task, places = federation.task, federation.union_test.inputs
    if task.classifies or task.outputs != 1 or tuple(task.input_shape) != (2,) or not len(places):
        return None
    ends = torch.stack([places.amin(0), places.amax(0)], 1).tolist()
    across, down = (torch.linspace(low, high, SIDE) for low, high in ends)
    return torch.cartesian_prod(down, across).flip(1)


@torch.no_grad()
def answered(method: Method, trained: Contender, federation: FederatedData) -> list[float] | None:
    """A method's answers on the grid, in the targets' own units; None where there is no grid, or it takes context.

    Who knows the client of a union sample is told that of the nearest one.
    """
    cells = grid(federation)
    if cells is None or method.context:
        return None
    told = np.full(len(cells), UNKNOWN_CLIENT)
    if method.knows_client:
        near = KNeighborsClassifier(1).fit(federation.union_test.inputs, federation.union_client)
        told = near.predict(cells)
    return _values(trained.answer(cells, told), federation)


def measured(federation: FederatedData) -> list[float] | None:
    """What all samples say, clients' and test's, interpolated at each cell; None where there is no grid."""
    cells = grid(federation)
    if cells is None:
        return None
    known = [part for client in federation.clients for part in (client.train, client.held_out)]
    samples = Samples.concatenated([federation.union_test, *known])
    near = KNeighborsRegressor(min(NEAREST, len(samples)), weights="distance").fit(samples.inputs, samples.targets)
    return _values(torch.from_numpy(near.predict(cells)), federation)


def _values(answers: Tensor, federation: FederatedData) -> list[float]:
    """As many digits as a picture shows: they are kept as text."""
    return [float(f"{value:.4g}") for value in federation.preparation.answers(answers.double())[:, 0].tolist()]
