"""What comes of a federation whose clients train models that belong to no region: it predicts, like a world model."""

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from federation.data.preparation import Preparation
from federation.learning.experts import Expert
from federation.manifold import Encoder
from federation.models import ElasticFamily
from federation.models.cost import Cost
from federation.randomness import generator
from federation.tasks import Task
from federation.tensors import Parameters, dense, prefixed, single

MANIFEST, WEIGHTS = "model.json", "model.safetensors"

OwnTensors = Mapping[int, Parameters]
"""What clients have of their own, by their numbers; those that have nothing are not there."""


class Predictor(Protocol):
    """What a finished federation answers with."""

    def predict(self, inputs: Tensor, told: NDArray[np.int64] | None = None, /) -> Tensor:
        """Probabilities [samples, classes], or values [samples, outputs].

        Args:
            told: a number for each sample. Of a world model, samples with the same number share a client; all others
                look at it as the number of the client, -1 where it is unknown.
        """

    def cost(self) -> Cost:
        """What it is, and what one query takes."""

    def save(self, folder: Path, preparation: Preparation | None = None, /) -> None:
        """Write it into an existing folder, without anything that stays with clients.

        Args:
            preparation: what was done to the raw rows on which it was trained.
        """


@dataclass(frozen=True)
class Models:
    """Models of one family that predict for all clients, or for one."""

    KIND: ClassVar[str]

    family: ElasticFamily
    task: Task

    @abstractmethod
    def of(self, client: int, inputs: Tensor) -> Float[Tensor, "samples outputs"]:
        """What one client is answered; -1: one that is unknown."""

    def predict(self, inputs: Tensor, told: NDArray[np.int64] | None = None) -> Float[Tensor, "samples outputs"]:
        """See `Predictor`."""
        clients = np.full(len(inputs), -1) if told is None else told
        predictions = torch.zeros(len(inputs), self.task.outputs)
        for client in np.unique(clients):
            rows = torch.from_numpy(clients == client)
            predictions[rows] = self.of(int(client), inputs[rows])
        return predictions

    def cost(self) -> Cost:
        """That of one model."""
        return Cost.of(self.family, self.task)

    def tensors(self) -> Parameters:
        """What the server holds."""
        return {}

    def fields(self) -> dict[str, Any]:
        """What its tensors are, as plain data."""
        return {"kind": self.KIND, "task": self.task.dump(), "family": self.family.dump()}

    def save(self, folder: Path, preparation: Preparation | None = None) -> None:
        """See `Predictor`."""
        save_file(dense(self.tensors()), folder / WEIGHTS)
        fields = {**self.fields(), "preparation": (preparation or Preparation()).dump()}
        (folder / MANIFEST).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class GlobalModel(Models):
    """One model, some of whose tensors a client may have of its own.

    Attributes:
        parameters: along a leading members axis, as `Expert` has them.
    """

    KIND = "global_model"

    parameters: Parameters
    own: OwnTensors = field(default_factory=dict)

    def of(self, client: int, inputs: Tensor) -> Float[Tensor, "samples outputs"]:
        return Expert({**self.parameters, **single(self.own.get(client, {}))}).answers(self.family, self.task, inputs)

    def tensors(self) -> Parameters:
        return self.parameters


@dataclass(frozen=True)
class EncodedModel(Models):
    """A head on the codes of a fixed encoder; `family` and `task` are the head's.

    Attributes:
        parameters: of the head, along a leading members axis.
    """

    KIND = "encoded_model"

    encoder: Encoder
    parameters: Parameters

    def of(self, client: int, inputs: Tensor) -> Float[Tensor, "samples outputs"]:
        return Expert(self.parameters).answers(self.family, self.task, self.encoder(inputs))

    def cost(self) -> Cost:
        head, codes = super().cost(), self.encoder.parameters
        return Cost(head.total_parameters + codes, head.active_parameters + codes, head.query_flops + 2 * codes)

    def tensors(self) -> Parameters:
        return {**self.parameters, **prefixed("encoder", self.encoder.weights)}

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "encoder": self.encoder.rule.dump()}


@dataclass(frozen=True)
class ModelMixture(Models):
    """Components whose predictions are averaged in the shares of a client; in the federation's for an unknown one.

    As in the papers each component is a whole model. A query of an unknown client asks them all.

    Attributes:
        components: along a leading components axis.
        shares: of the whole federation, [components].
        own: clients' shares, under the name "proposed/shares".
    """

    KIND = "model_mixture"

    components: Parameters
    shares: Float[Tensor, " components"]
    own: OwnTensors = field(default_factory=dict)

    def of(self, client: int, inputs: Tensor) -> Float[Tensor, "samples outputs"]:
        shares = self.own.get(client, {}).get("proposed/shares", self.shares)
        asked = torch.nonzero(shares).flatten()
        models = {name: t[asked] for name, t in self.components.items()}
        apart = self.task.answers(self.family.asked(models, inputs, self.task))
        return torch.einsum("c,cso->so", shares[asked].to(apart.dtype), apart)

    def cost(self) -> Cost:
        return super().cost().times(len(self.shares))

    def tensors(self) -> Parameters:
        return {**self.components, "shares": self.shares}


@dataclass(frozen=True)
class OwnModels(Models):
    """Nothing but each client's own model; an unknown client's samples go to clients drawn at random."""

    KIND = "own_models"

    seed: int
    own: OwnTensors

    def of(self, client: int, inputs: Tensor) -> Float[Tensor, "samples outputs"]:
        if client in self.own:
            return Expert(single(self.own[client])).answers(self.family, self.task, inputs)
        return torch.full((len(inputs), self.task.outputs), 1 / self.task.outputs if self.task.classifies else 0.0)

    def predict(self, inputs: Tensor, told: NDArray[np.int64] | None = None) -> Float[Tensor, "samples outputs"]:
        clients = np.full(len(inputs), -1) if told is None else told
        if there := sorted(self.own):
            drawn = np.array(there)[generator(self.seed, "local union").integers(len(there), size=len(inputs))]
            clients = np.where(clients < 0, drawn, clients)
        return super().predict(inputs, clients)

    def cost(self) -> Cost:
        one = super().cost()
        return Cost(len(self.own) * one.total_parameters, one.active_parameters, one.query_flops)
