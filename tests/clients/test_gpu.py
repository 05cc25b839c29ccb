"""Training on a GPU: what a processor does, to rounding, and twice the same. Skipped where there is none."""

import gc

import pytest
import torch

from clients import model_training
from clients.model_training import TrainingJob, train_models
from federation.data.samples import Samples
from federation.models import Convnet, Mlp
from federation.optimizers import Sgd
from federation.randomness import torch_generator
from federation.settings import LocalTraining
from federation.tasks import Classification
from federation.tensors import resident

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS"),  # autograd's thread finds a context at its first use
]

IMAGES = Classification(input_shape=(1, 12, 12), outputs=3)
FLAT = Classification(input_shape=(6,), outputs=3)
LOCAL = LocalTraining(learning_rate=0.1, batch_size=4, epochs=2, optimizer=Sgd(momentum=0.5))
FAMILIES = {"mlp": (Mlp(width=8), FLAT), "convnet": (Convnet(channels=(3, 4)), IMAGES)}


def trained(family, task):
    """Five ragged clients after two epochs."""
    draw = torch_generator(0, "gpu")
    samples = [
        Samples(torch.randn(n, *task.input_shape, generator=draw), torch.randint(3, (n,), generator=draw))
        for n in (5, 1, 13, 8, 4)
    ]
    start = [family.init(task, torch_generator(0, "start"))] * 5
    job = TrainingJob(start, samples, range(5), LOCAL, LOCAL.learning_rate, 0, ("gpu",))
    return train_models(job, family, task)


@pytest.mark.parametrize(("family", "task"), FAMILIES.values(), ids=list(FAMILIES))
def test_a_cohort_learns_on_a_gpu_what_it_learns_on_a_processor(family, task, monkeypatch):
    there = trained(family, task)
    monkeypatch.setattr(model_training, "accelerator", lambda: torch.device("cpu"))
    here = trained(family, task)
    assert {tensor.device.type for tensor in there.parameters.values()} == {"cuda"}
    torch.testing.assert_close(there.loss, here.loss, rtol=1e-4, atol=1e-5)
    for name, tensor in here.parameters.items():
        torch.testing.assert_close(there.parameters[name].cpu(), tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("family", "task"), FAMILIES.values(), ids=list(FAMILIES))
def test_a_cohort_learns_the_same_twice_to_the_last_bit(family, task):
    once, again = (trained(family, task).parameters for _ in range(2))
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_a_gpu_keeps_the_samples_of_its_clients_as_long_as_they_live():
    own, device = torch.ones(1_000_000), torch.device("cuda")
    assert resident(own, device) is resident(own, device)
    held = torch.cuda.memory_allocated()
    del own
    gc.collect()
    assert torch.cuda.memory_allocated() <= held - 4_000_000
