"""What IFCA and FedEM share: several models for all, and of each client the share that each of them has in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from federation.models import ElasticFamily
from federation.tensors import Parameters
from federation.world_model import Cost
from scenarios.baselines.contract import Answer, Trial, monolith_cost, single_model
from scenarios.baselines.federated import Federated

COMPONENTS = 3
"""As in the experiments of FedEM."""


@dataclass(frozen=True)
class Mixed:
    """Components, and of each client that has been asked their shares [components] and its number of samples."""

    models: Sequence[Parameters]
    shares: Mapping[int, Float[Tensor, " components"]]
    samples: Mapping[int, int]

    @cached_property
    def stranger(self) -> Float[Tensor, " components"]:
        """Shares in the whole federation: the mean over samples."""
        if not self.shares:
            return torch.full((len(self.models),), 1 / len(self.models))
        weights = torch.tensor([float(self.samples[client]) for client in self.shares])
        return weights / weights.sum() @ torch.stack(list(self.shares.values()))

    def of(self, client: int) -> Float[Tensor, " components"]:
        """A client's shares; those of the federation for whoever is unknown or has never been asked."""
        return self.shares.get(client, self.stranger)


@dataclass(frozen=True)
class Mixture(Federated[Mixed]):
    """Answers are the components' mean under the shares of the sample's client.

    As in both papers, each component is a whole model: as large as one query of the world model. A query of an unknown
    client asks them all, and so runs more than that; it favours the rival, and the budget shows it.
    """

    components: int = COMPONENTS

    def begin(self, trial: Trial, family: ElasticFamily) -> Mixed:
        others = [self.fresh(trial, family, "component", number) for number in range(1, self.components)]
        return Mixed([self.fresh(trial, family), *others], {}, {})

    def answer(self, state: Mixed, trial: Trial, family: ElasticFamily) -> Answer:
        def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
            shares = torch.stack([state.of(int(client)) for client in clients])
            answers = torch.zeros(len(inputs), trial.task.outputs)
            for component, model in enumerate(state.models):
                mine = shares[:, component] > 0
                if bool(mine.any()):
                    own = single_model(family, model, trial.task)(inputs[mine], clients[mine.numpy()])
                    answers[mine] += shares[mine, component, None] * own
            return answers

        return answer

    def cost(self, trial: Trial, family: ElasticFamily) -> Cost:
        """The query of a client that nobody knows, which asks all components."""
        return monolith_cost(family, trial.task).times(self.components)
