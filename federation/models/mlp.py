"""Fully connected family: a stem, hidden blocks of equal width, a head."""

from itertools import count, takewhile
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.models.activations import ACTIVATIONS, Activation, Name
from federation.models.family import FULL, Along, ElasticFamily, Gradient, Product, Size, Vjp, share
from federation.tasks import Task
from federation.tensors import Parameters, Shapes


class Mlp(ElasticFamily):
    """`blocks` hidden layers of `width` units after the stem; residual blocks let depth shrink without a jump."""

    width: int = Field(default=64, ge=1)
    blocks: int = Field(default=1, ge=0)
    residual: bool = True
    activation: Name = Field(default="relu", description="of the hidden units; sine suits smooth fields of few inputs")

    def shapes(self, task: Task, size: Size = FULL) -> Shapes:
        units = share(self.width, size.width)
        inputs = int(torch.Size(task.input_shape).numel())
        shapes: Shapes = {"stem.weight": (units, inputs), "stem.bias": (units,)}
        for block in range(round(size.depth * self.blocks)):
            shapes |= {f"block{block}.weight": (units, units), f"block{block}.bias": (units,)}
        return shapes | {"head.weight": (task.outputs, units), "head.bias": (task.outputs,)}

    @property
    def skips(self) -> bool:
        return self.residual

    @property
    def units(self) -> Activation:
        """What its hidden units do."""
        return ACTIVATIONS[self.activation]

    @property
    def deepens(self) -> bool:
        return self.activation == "relu"

    def gain(self, name: str) -> float:
        if name.startswith("head"):
            return 0.5
        damped = 0.5 if self.residual and name.startswith("block") else 1.0
        return damped * self.units.gain * (self.units.frequency if name.startswith("stem") else 1.0)

    def init(self, task: Task, draw: torch.Generator) -> dict[str, Tensor]:
        model = super().init(task, draw)
        if self.units.phase:
            drawn = torch.rand(model["stem.bias"].shape, generator=draw)
            model["stem.bias"] = self.units.phase * (2 * drawn - 1)
        return model

    def apply(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> Float[Tensor, "clients samples outputs"]:
        return _linear(parameters, "head", self._hidden(parameters, inputs, rectified=True))

    def trunk(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> Float[Tensor, "clients samples units"]:
        return self._hidden(parameters, inputs, rectified=False)

    def _hidden(
        self, parameters: Parameters, inputs: Tensor, rectified: bool
    ) -> Float[Tensor, "clients samples units"]:
        """The last hidden layer, rectified or not; all layers before it are."""
        hidden, layers = inputs.flatten(2), _hidden_layers(parameters)
        for layer in layers:
            update = _linear(parameters, layer, hidden)
            update = self.units.apply(update) if rectified or layer != layers[-1] else update
            hidden = hidden + update if self.residual and layer != "stem" else update
        return hidden

    def composed(
        self, parameters: Parameters, matrix: Float[Tensor, "inputs inputs"], offset: Float[Tensor, " inputs"]
    ) -> dict[str, Tensor]:
        weight = parameters["stem.weight"]
        return {
            **parameters,
            "stem.weight": weight @ matrix.T,
            "stem.bias": parameters["stem.bias"] + weight @ offset,
        }

    def hidden(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> dict[str, Float[Tensor, "clients samples units"]]:
        _, _, leaving = self._passed(parameters, inputs)
        return dict(zip(_hidden_layers(parameters), leaving, strict=True))

    def _passed(self, parameters: Parameters, inputs: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What enters each layer, the head last; what the units of each hidden one read, and what they say of it."""
        entering, reading, leaving = [inputs.flatten(2)], list[Tensor](), list[Tensor]()
        for layer in _hidden_layers(parameters):
            reading.append(_linear(parameters, layer, entering[-1]))
            leaving.append(self.units.apply(reading[-1]))
            adds = self.residual and layer != "stem"
            entering.append(entering[-1] + leaving[-1] if adds else leaving[-1])
        return entering, reading, leaving

    def vjp(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> tuple[Float[Tensor, "clients samples outputs"], Vjp]:
        layers = _hidden_layers(parameters)
        (*entering, last), reading, leaving = self._passed(parameters, inputs)
        outputs, passed = _linear(parameters, "head", last), (layers, entering, reading, leaving)

        def vjp(gradients: Tensor) -> dict[str, Gradient]:
            found = _linear_gradients("head", last, gradients)
            along = torch.bmm(gradients, parameters["head.weight"])
            for layer, before, read, said in zip(*(each[::-1] for each in passed), strict=True):
                through = self.units.back(along, read, said)
                found |= _linear_gradients(layer, before, through)
                if layer != "stem":
                    weight = parameters[f"{layer}.weight"]
                    along = torch.baddbmm(along, through, weight, beta=int(self.residual))
            return found

        return outputs, vjp

    def row_squares(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"], gradients: Along
    ) -> Float[Tensor, "clients samples"]:
        """A row's gradient along a layer is one outer product, whose norm is that of its factors.

        Source: Goodfellow (2015), Efficient per-example gradient computations.
        """
        outputs, vjp = self.vjp(parameters, inputs)
        products = [gradient for gradient in vjp(gradients(outputs)).values() if isinstance(gradient, Product)]
        each = [one.left.square().sum(2) * (1 + one.right.square().sum(2)) for one in products]  # 1: the bias
        return torch.stack(each).sum(0)

    def multiplies(self, task: Task, size: Size = FULL) -> int:
        return sum(shape[0] * shape[1] for shape in self.shapes(task, size).values() if len(shape) == 2)

    def activations(self, task: Task, size: Size = FULL) -> int:
        layers = self.shapes(task, size)
        return sum(shape[1] for shape in layers.values() if len(shape) == 2) + task.outputs

    def widened(self, factor: float) -> Self:
        return self.model_copy(update={"width": max(1, round(self.width * factor))})


def _hidden_layers(parameters: Parameters) -> list[str]:
    """The stem and the blocks that a model of this depth has, in order."""
    return ["stem", *takewhile(lambda name: f"{name}.weight" in parameters, (f"block{n}" for n in count()))]


def _linear(
    parameters: Parameters, name: str, inputs: Float[Tensor, "clients samples units"]
) -> Float[Tensor, "clients samples outputs"]:
    bias = parameters[f"{name}.bias"].unsqueeze(1)
    return torch.baddbmm(bias, inputs, parameters[f"{name}.weight"].transpose(1, 2))


def _linear_gradients(
    name: str, inputs: Float[Tensor, "clients samples units"], gradients: Float[Tensor, "clients samples outputs"]
) -> dict[str, Gradient]:
    """Gradients along the weights of `_linear`, from those along its outputs."""
    return {f"{name}.weight": Product(gradients, inputs), f"{name}.bias": gradients.sum(1)}


def side_by_side(one: Parameters, other: Parameters) -> dict[str, Tensor]:
    """Two networks without blocks as one: it gives the outputs of the first, and then those of the second."""
    mine, theirs = one["head.weight"], other["head.weight"]
    apart = {"head.weight": torch.cat([F.pad(mine, (0, theirs.shape[1])), F.pad(theirs, (mine.shape[1], 0))])}
    return apart | {name: torch.cat([one[name], other[name]]) for name in ("stem.weight", "stem.bias", "head.bias")}


def mean_of(one: Parameters, other: Parameters, share: float) -> dict[str, Tensor]:
    """Two networks without blocks as one: it gives share x the outputs of the first + (1 - share) x the second's."""
    both, outputs = side_by_side(one, other), len(one["head.bias"])
    return both | {
        name: share * both[name][:outputs] + (1 - share) * both[name][outputs:] for name in ("head.weight", "head.bias")
    }
