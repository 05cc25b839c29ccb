"""Fully connected family: a stem, hidden blocks of equal width, a head."""

from typing import Self

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.models.family import FULL, ElasticFamily, Shapes, Size, share
from federation.task import Task
from federation.tensors import Parameters


class Mlp(ElasticFamily):
    """`blocks` hidden layers of `width` units after the stem; residual blocks let depth shrink without a jump."""

    width: int = Field(default=64, ge=1)
    blocks: int = Field(default=1, ge=0)
    residual: bool = True

    def shapes(self, task: Task, size: Size = FULL) -> Shapes:
        units = share(self.width, size.width)
        inputs = int(torch.Size(task.input_shape).numel())
        shapes: Shapes = {"stem.weight": (units, inputs), "stem.bias": (units,)}
        for block in range(round(size.depth * self.blocks)):
            shapes |= {f"block{block}.weight": (units, units), f"block{block}.bias": (units,)}
        return shapes | {"head.weight": (task.outputs, units), "head.bias": (task.outputs,)}

    def gain(self, name: str) -> float:
        return 0.5 if name.startswith("head") or (self.residual and name.startswith("block")) else 1.0

    def apply(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> Float[Tensor, "clients samples outputs"]:
        hidden = _linear(parameters, "stem", inputs.flatten(2)).relu()
        block = 0
        while f"block{block}.weight" in parameters:
            update = _linear(parameters, f"block{block}", hidden).relu()
            hidden = hidden + update if self.residual else update
            block += 1
        return _linear(parameters, "head", hidden)

    def multiplies(self, task: Task, size: Size = FULL) -> int:
        return sum(shape[0] * shape[1] for shape in self.shapes(task, size).values() if len(shape) == 2)

    def widened(self, factor: float) -> Self:
        return self.model_copy(update={"width": max(1, round(self.width * factor))})


def _linear(
    parameters: Parameters, name: str, inputs: Float[Tensor, "clients samples units"]
) -> Float[Tensor, "clients samples outputs"]:
    bias = parameters[f"{name}.bias"].unsqueeze(1)
    return torch.baddbmm(bias, inputs, parameters[f"{name}.weight"].transpose(1, 2))
