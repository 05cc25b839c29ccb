"""The readout of a region: a last layer by least squares on fixed features, in place of models that were trained.

It is one sum over the region's clients, however the samples lie among these, and no rounds. On images of few classes it
often beats trained convolutions of as many parameters; of many classes, its last layer leaves it too few features.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from federation.manifold.features import FeatureMap
from federation.models import ElasticFamily, Size
from federation.models.family import FULL
from federation.rules import Frozen
from federation.tasks import Task
from federation.tensors import Parameters, Shapes


class Readout(Frozen):
    """What an elastic family is to models that are trained; of one size."""

    features: FeatureMap

    @staticmethod
    def like(family: ElasticFamily, task: Task, features: FeatureMap, classes: int | None) -> tuple["Readout", Task]:
        """The readout of so many classes with as many parameters as a model of the family, and what it answers."""
        own = task if classes is None else task.model_copy(update={"outputs": classes})
        return Readout(features=features.sized_to(family.parameters(task), task.input_shape, own.outputs)), own

    def shapes(self, task: Task, size: Size = FULL) -> Shapes:
        """Name -> shape of each tensor."""
        width = self.features.width(task.input_shape)
        return {"head.weight": (task.outputs, width), "head.bias": (task.outputs,)}

    def asked(
        self, parameters: Parameters, inputs: Float[Tensor, "samples *shape"], task: Task
    ) -> Float[Tensor, "members samples outputs"]:
        """Logits of several readouts of the same samples."""
        read = self.features.apply(inputs).expand(len(parameters["head.weight"]), -1, -1)
        return torch.baddbmm(parameters["head.bias"].unsqueeze(1), read, parameters["head.weight"].transpose(1, 2))

    def slice(self, parameters: Parameters, task: Task, size: Size) -> dict[str, Tensor]:
        """All of it: a part of a least-squares solution solves nothing."""
        return dict(parameters)

    def parameters(self, task: Task, size: Size = FULL) -> int:
        """Number of weights, and of the numbers that its features are made of."""
        weights = task.outputs * (self.features.width(task.input_shape) + 1)
        return self.features.constants(task.input_shape) + weights

    def multiplies(self, task: Task, size: Size = FULL) -> int:
        """Multiply-adds of one sample."""
        return self.features.multiplies(task.input_shape) + task.outputs * self.features.width(task.input_shape)
