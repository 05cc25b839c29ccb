"""Everything of a round but the training: what `python -m benchmarks.cohort --untrained` runs on the workers.

Messages, decoding, draws of batches, checks and sums are those of a real round; the steps are left out, and all clients
share the samples of a few, so that making samples is left out too.
"""

from collections.abc import Sequence
from unittest.mock import patch

import torch

from clients.app import serve_cohort
from clients.training import Batches, Column, Objective, Trained
from federation.data.samples import Lazy
from federation.engine import Asked, Served
from federation.tensors import Parameters

SHARED = 64


def serve(asked: Asked) -> Served:
    """Serve a cohort whose models come back as they went."""
    own = Lazy.__getitem__
    with (
        patch.object(Lazy, "__getitem__", lambda clients, number: own(clients, number % SHARED)),
        patch("clients.model_training.train", _kept),
    ):
        return serve_cohort(asked)


def _kept(
    start: Parameters, objective: Objective, columns: Sequence[Column], plan: Batches, *settings: object
) -> Trained:
    model = {name: tensor.clone() for name, tensor in start.items()}
    return Trained(model, torch.zeros(len(plan.rows)), plan.real.sum((1, 2)))
