"""Clients whose samples a test has written into an npz file, all of whose local tests together are the union test."""

from pathlib import Path

import numpy as np
import torch

from federation.data.npz import read_npz
from federation.data.partition import Natural
from federation.data.samples import Dataset, Samples
from federation.models import Mlp
from federation.scenario import Scenario
from federation.settings import ExpertSettings, HeadSettings, LocalTraining, RouterSettings, TrainingPhase
from federation.tasks import Task
from server.aggregation import Mean

SCENARIO = Scenario(
    name="made",
    title="Made for a test",
    partition=Natural(),
    held_out=0.01,
    model=Mlp(width=16, blocks=0),
    local=LocalTraining(),
    aggregation=Mean(),
    prior=TrainingPhase(rounds=1),
    experts=ExpertSettings(rounds=0),
    head=HeadSettings(rounds=0),
    router=RouterSettings(rounds=0),
)


def load(settings, seed):
    arrays = {name: torch.from_numpy(array) for name, array in read_npz(Path(settings.path), ()).items()}
    return Dataset(
        task=Task.model_validate_json(bytes(arrays["task"].tolist())),
        train=Samples(arrays["x"], arrays["y"]),
        test=Samples(arrays["x_test"], arrays["y_test"]),
        group=arrays["group"].numpy(),
        test_group=arrays["test_group"].numpy(),
    )


def written(path, clients, tests, task):
    """The file of a federation of these clients."""
    parts = {}
    for mark, group, several in (("", "group", clients), ("_test", "test_group", tests)):
        whole = Samples.concatenated(several)
        parts |= {f"x{mark}": whole.inputs.numpy(), f"y{mark}": whole.targets.numpy()}
        parts[group] = np.repeat(np.arange(len(several)), [len(own) for own in several])
    np.savez(path, task=np.frombuffer(task.model_dump_json().encode(), np.uint8), **parts)
    return str(path)
