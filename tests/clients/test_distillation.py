"""Ordered dropout: each slice learns what the whole says, and the whole goes its own way."""

from itertools import repeat

import pytest
import torch

from clients.distillation import distillation_cost, taught
from clients.model_training import TrainingJob, supervised, train_models
from federation.data.samples import Samples
from federation.models import Convnet, Mlp, Size, Tiers
from federation.models.family import FULL, written_out
from federation.models.sizes import turns
from federation.settings import LocalTraining
from federation.tasks import Classification, Regression, Task

CLASSES = Classification(input_shape=(6,), outputs=3)
VALUES = Regression(input_shape=(6,), outputs=2)
IMAGES = Classification(input_shape=(1, 6, 6), outputs=3)
MODELS = {
    "mlp on classes": (Mlp(width=8, blocks=1), CLASSES),
    "mlp without skips": (Mlp(width=8, blocks=2, residual=False), CLASSES),
    "mlp on values": (Mlp(width=8, blocks=1), VALUES),
    "convnet": (Convnet(channels=(4, 4), blocks=1), IMAGES),
}
every_model = pytest.mark.parametrize(("family", "task"), MODELS.values(), ids=MODELS.keys())
SMALL = Size(width=0.5, depth=0.5)
TIERS = Tiers(widths=(1.0, 0.5, 0.25), depths=(1.0, 0.0))


def batch(task: Task, rows: int = 7, clients: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(clients, rows, *task.input_shape, generator=draw)
    values = torch.randn(clients, rows, task.outputs, generator=draw)
    return inputs, values.argmax(-1) if task.classifies else values


def models(family, task: Task, clients: int = 2) -> dict[str, torch.Tensor]:
    draws = [torch.Generator().manual_seed(seed) for seed in range(clients)]
    several = [family.init(task, draw) for draw in draws]
    return {name: torch.stack([model[name] for model in several]) for name in several[0]}


@every_model
def test_the_gradients_are_those_of_the_task_s_loss_and_of_the_divergence_from_what_the_whole_says(family, task):
    inputs, targets = batch(task)
    weights, start = torch.rand(2, 7), models(family, task)
    _, found = supervised(family, task, smaller=repeat(SMALL))(start, [inputs, targets], weights)
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    whole, part = family.apply(leaves, inputs), family.apply(family.slice(leaves, task, SMALL), inputs)
    if task.classifies:
        apart = (whole.detach().softmax(-1) * (whole.detach().log_softmax(-1) - part.log_softmax(-1))).sum(-1)
    else:
        apart = 0.5 * (whole.detach() - part).square().sum(-1)
    (weights * (task.losses(whole, targets) + apart)).sum().backward()
    assert found.keys() == leaves.keys()
    for name, leaf in leaves.items():
        torch.testing.assert_close(written_out(found[name]), leaf.grad, rtol=1e-4, atol=1e-6)


@every_model
def test_a_slice_that_says_the_same_has_nothing_to_learn(family, task):
    inputs, _ = batch(task)
    start = models(family, task)
    gradients = taught(family, task, start, inputs, family.apply(start, inputs), torch.ones(2, 7))
    assert max(float(written_out(gradient).abs().max()) for gradient in gradients.values()) < 1e-6


@every_model
def test_a_cohort_under_ordered_dropout_is_its_members_one_by_one(family, task):
    counts, local = [1, 13, 8], LocalTraining(learning_rate=0.1, batch_size=4, epochs=2)
    samples = [Samples(*(t[0] for t in batch(task, count, 1))) for count in counts]
    start = family.init(task, torch.Generator().manual_seed(0))

    def trained(members: list[int]):
        smaller = turns(FULL, TIERS.sizes, 5, "experts", 3)
        own, rate = [samples[number] for number in members], local.learning_rate
        job = TrainingJob([start] * len(members), own, members, local, rate, 5, ("experts", 3))
        return train_models(job, family, task, smaller=smaller).parameters

    together = trained([0, 1, 2])
    for number in range(3):
        for name, tensor in trained([number]).items():
            torch.testing.assert_close(together[name][number], tensor[0], rtol=1e-5, atol=1e-5)


def test_every_slice_learns_the_task_and_without_the_dropout_it_does_not():
    draw, family = torch.Generator().manual_seed(0), Mlp(width=16, blocks=1)
    inputs = torch.randn(300, 6, generator=draw)
    samples, local = Samples(inputs, inputs[:, :3].argmax(1)), LocalTraining(batch_size=10, epochs=12)
    start = family.init(CLASSES, torch.Generator().manual_seed(0))

    def worst(smaller) -> float:
        job = TrainingJob([start], [samples], [0], local, 0.1, 0, ("x",))
        trained = train_models(job, family, CLASSES, smaller=smaller).parameters
        whole = {name: tensor.cpu() for name, tensor in trained.items()}
        parts = [family.slice(whole, CLASSES, size) for size in TIERS.sizes]
        return min(CLASSES.score(family.apply(part, inputs[None])[0], samples.targets) for part in parts)

    assert worst(turns(FULL, TIERS.sizes, 0, "x")) > 0.85
    assert worst(None) < 0.75


def test_what_the_slices_cost_is_counted_by_their_turns():
    family, inner = Mlp(width=8, blocks=0), Tiers(widths=(1.0, 0.5, 0.25)).sizes
    assert distillation_cost(family, CLASSES, FULL, inner) == (4 * (6 + 3) + 2 * (6 + 3)) / 3
    assert distillation_cost(family, CLASSES, FULL, ()) == 0
