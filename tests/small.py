"""A digits federation that runs in about a second, for tests of everything above the mathematics."""

from typing import Any

import torch

from federation.tensors import Parameters
from federation.wire.contribution import Contribution, Weighed

ROUNDS: dict[str, Any] = {
    "partition.clients": 5,
    "prior.rounds": 2,
    "experts.rounds": 1,
    "head.rounds": 1,
    "router.rounds": 1,
    "local.epochs": 1,
    "search.factors": [1.0],
}


def flags(**more: Any) -> list[str]:
    """The same as command-line flags."""
    fields = ROUNDS | {name.replace("__", "."): value for name, value in more.items()}
    return ["--workers", "0"] + [word for field, value in fields.items() for word in ("--set", f"{field}={value}")]


def term(client: int, parameters: Parameters, samples: float) -> Contribution:
    """What one client sends of its model, as a cohort of one."""
    models = {name: tensor[None] for name, tensor in parameters.items()}
    return Weighed([client], [0], models, torch.tensor([float(samples)]), {}).total([0])


class Quiet:
    """Progress that nobody sees."""

    def begin(self, label: str, rounds: int) -> None: ...

    def advance(self) -> None: ...
