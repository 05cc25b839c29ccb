"""Convolutional family without normalisation layers, so that averaging breaks nothing.

Images [channels, height, width]; a signal is an image of width one, and keeps that width.
"""

from collections.abc import Iterator
from math import prod
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.models.convolution import convolved
from federation.models.family import FULL, ElasticFamily, Size, share
from federation.rules import InputError, Several
from federation.tasks import Task
from federation.tensors import Parameters, Shapes

STEM_KERNEL, KERNEL = 5, 3


class Convnet(ElasticFamily):
    """A strided 5x5 stem, then one 3x3 stage for each further entry of `channels`, each followed by 2x2 max-pooling,
    then `blocks` residual 3x3 blocks (the elastic depth), and a linear head on the flattened map."""

    channels: Several[int] = Field(default=(8, 16, 16), min_length=1)
    blocks: int = Field(default=1, ge=0)

    def shapes(self, task: Task, size: Size = FULL) -> Shapes:
        inputs, height, width = _image(task)
        before, shapes = inputs, Shapes()
        for stage, full in enumerate(self.channels):
            units = share(full, size.width)
            shapes |= {f"stage{stage}.weight": (units, before, *_kernel(task, stage)), f"stage{stage}.bias": (units,)}
            before = units
        for block in range(round(size.depth * self.blocks)):
            shapes |= {f"block{block}.weight": (before, before, *_kernel(task, 1)), f"block{block}.bias": (before,)}
        rows, columns = self._side(height, "head"), self._side(width, "head")
        return shapes | {"head.weight": (task.outputs, before, rows, columns), "head.bias": (task.outputs,)}

    @property
    def skips(self) -> bool:
        return True

    def gain(self, name: str) -> float:
        return 0.5 if name.startswith(("block", "head")) else 1.0

    def apply(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> Float[Tensor, "clients samples outputs"]:
        weight = parameters["head.weight"].flatten(2).transpose(1, 2)
        return torch.baddbmm(
            parameters["head.bias"].unsqueeze(1), self._map(parameters, inputs, rectified=True), weight
        )

    def trunk(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> Float[Tensor, "clients samples units"]:
        return self._map(parameters, inputs, rectified=False)

    def hidden(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> dict[str, Float[Tensor, "clients samples units height width"]]:
        layers = self._layers(parameters, inputs, rectified=True)
        return {name: torch.unflatten(own, 1, (len(inputs), -1)).transpose(0, 1) for name, own, _ in layers}

    def _map(self, parameters: Parameters, inputs: Tensor, rectified: bool) -> Float[Tensor, "clients samples units"]:
        """The last map, flattened, and its last convolution rectified or not; all before it are."""
        (*_, (_, _, last)) = self._layers(parameters, inputs, rectified)
        return torch.unflatten(last, 1, (len(inputs), -1)).flatten(2).transpose(0, 1)

    def _layers(self, parameters: Parameters, inputs: Tensor, rectified: bool) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Each layer's name, what it says and what the next one reads, folded; the last one rectified or not."""
        stages = [f"stage{stage}" for stage in range(len(self.channels))]
        blocks = [f"block{block}" for block in range(sum(name.startswith("block") for name in parameters) // 2)]
        read = _folded(inputs)
        for name in (layers := stages + blocks):
            weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
            own = convolved(read, weight, bias, stride=2 if name == "stage0" else 1)
            if name in stages[1:]:
                own = F.max_pool2d(own, [2 if side > 1 else 1 for side in own.shape[2:]])
            if rectified or name != layers[-1]:
                own = own.relu_()  # after pooling: the same numbers, and fewer of them
            read = read + own if name in blocks else own
            yield name, own, read

    def multiplies(self, task: Task, size: Size = FULL) -> int:
        shapes, sides = self.shapes(task, size), self._sides(task, size)
        weights = {name: prod(shape) for name, shape in shapes.items() if len(shape) > 1}
        return sum(count * prod(sides.get(name.removesuffix(".weight"), (1,))) for name, count in weights.items())

    def activations(self, task: Task, size: Size = FULL) -> int:
        units, sides = self.layers(task, size), self._sides(task, size)
        maps = {layer: units[layer] * prod(side) for layer, side in sides.items()}
        return prod(task.input_shape) + sum(maps.values()) + task.outputs

    def widened(self, factor: float) -> Self:
        return self.model_copy(update={"channels": tuple(max(1, round(c * factor)) for c in self.channels)})

    def _sides(self, task: Task, size: Size) -> dict[str, tuple[int, int]]:
        """Height and width of the map that each convolution makes."""
        _, height, width = _image(task)
        return {layer: (self._side(height, layer), self._side(width, layer)) for layer in self.layers(task, size)}

    def _side(self, side: int, layer: str) -> int:
        """Side of the map that a convolution makes, or the head sees: halved by the stem, rounding up, then by each
        pooling before it, rounding down. A stage pools after its convolution."""
        side = -(-side // 2)
        stage = int(layer.removeprefix("stage")) if layer.startswith("stage") else len(self.channels)
        for _ in range(stage - 1):
            side = max(side // 2, 1)
        return side


def _image(task: Task) -> tuple[int, int, int]:
    if len(task.input_shape) != 3:
        raise InputError(
            f"a convnet needs inputs [channels, height, width], got {list(task.input_shape)}; use model.kind=mlp"
        )
    channels, height, width = task.input_shape
    return channels, height, width


def _kernel(task: Task, stage: int) -> tuple[int, int]:
    full = KERNEL if stage else STEM_KERNEL
    _, height, width = _image(task)
    return full if height > 1 else 1, full if width > 1 else 1


def _folded(
    inputs: Float[Tensor, "clients samples channels height width"],
) -> Float[Tensor, "samples folded height width"]:
    """Clients move beside the channels, where grouped convolutions keep them apart; channels last is fastest."""
    return inputs.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
