"""Losses corrected for a client's label frequencies."""

from math import log

import pytest
import torch

from clients.calibration import LEAST, shift, shifts
from clients.model_training import TrainingJob, train_models
from federation.data.samples import Samples
from federation.models import Mlp
from federation.settings import LocalTraining
from federation.tasks import Classification

TASK = Classification(input_shape=(2,), outputs=3)


def test_the_shift_is_the_log_ratio_of_frequencies():
    moved = shift(torch.tensor([0, 0, 0, 1]), torch.tensor([10.0, 10.0, 20.0]))
    assert moved.tolist() == pytest.approx([log(0.75 / 0.25), 0.0, LEAST])


def test_a_client_like_the_union_is_not_shifted():
    assert shift(torch.tensor([0, 1, 2, 2]), torch.tensor([5.0, 5.0, 10.0])).tolist() == pytest.approx([0, 0, 0])


def test_nothing_is_shifted_without_counts():
    assert shifts([torch.tensor([0, 1])], None) == 0.0


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_client_keeps_the_classes_that_it_does_not_hold_only_if_calibrated(calibrated):
    family = Mlp(width=4, blocks=0)
    start = family.init(TASK, torch.Generator().manual_seed(0))
    samples = Samples(torch.randn(12, 2, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 2)
    union = torch.tensor([10.0, 10.0, 10.0]) if calibrated else None
    local = LocalTraining(learning_rate=0.5, batch_size=4, epochs=3)
    job = TrainingJob([start], [samples], [0], local, 0.5, 0, ("x",))
    done = {name: tensor.cpu() for name, tensor in train_models(job, family, TASK, union=union).parameters.items()}
    moved = (done["head.weight"][0, 2] - start["head.weight"][2]).abs().max()
    assert bool(moved < 1e-5) is calibrated
    assert not torch.allclose(done["head.weight"][0, 0], start["head.weight"][0])
