"""The contract of an elastic family: one set of weights that holds smaller models as nested slices."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, prod, sqrt
from types import EllipsisType
from typing import Self

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.models.net2net import deepened, widened
from federation.rules import Frozen, InputError, Rule
from federation.tasks import Task
from federation.tensors import CACHE, Parameters, Shapes, corner


@dataclass(frozen=True)
class Product:
    """The gradient along a layer's weights as its factors, left^T right for each client: a plain descent adds it to the
    weights without ever writing it down, which halves what a step moves through memory."""

    left: Float[Tensor, "clients samples outputs"]
    right: Float[Tensor, "clients samples inputs"]

    def written(self) -> Float[Tensor, "clients outputs inputs"]:
        """The gradient itself, laid out as the layer reads its weights best."""
        return torch.bmm(self.right.transpose(1, 2), self.left).transpose(1, 2)

    def descend(self, weight: Float[Tensor, "clients outputs inputs"], rate: float) -> Tensor:
        """weight - rate * gradient: in place if the weight is laid out as `written` is, as the result always is."""
        along = weight.transpose(1, 2).contiguous()
        return along.baddbmm_(self.right.transpose(1, 2), self.left, alpha=-rate).transpose(1, 2)


Gradient = Tensor | Product

Vjp = Callable[[Tensor], Mapping[str, Gradient]]
"""Gradients of a loss along a model's outputs -> its gradients along the model's weights."""

Along = Callable[[Tensor], Tensor]
"""A model's outputs -> the gradients of a loss along them."""


def written_out(gradient: Gradient) -> Tensor:
    """The gradient as one tensor."""
    return gradient.written() if isinstance(gradient, Product) else gradient


class Size(Frozen):
    """Shares of the family's full width and depth."""

    width: float = Field(default=1.0, gt=0, le=1)
    depth: float = Field(default=1.0, ge=0, le=1)

    def least(self, other: "Size") -> "Size":
        """The smaller of the two, in width and in depth."""
        return Size(width=min(self.width, other.width), depth=min(self.depth, other.depth))

    def within(self, other: Self) -> bool:
        """Whether a model of this size is a slice of one of the other."""
        return self.width <= other.width and self.depth <= other.depth


FULL, NARROWEST = Size(), Size(width=1e-9)


def share(whole: int, kept: float) -> int:
    """The leading units that a share keeps: at least one."""
    return max(1, ceil(kept * whole - 1e-9))


class ElasticFamily(Rule):
    """Contract: weights whose leading corners are smaller models of the same family.

    Every tensor of a smaller size is the leading corner of the same tensor of a larger one, and a shallower model
    lacks the later tensors. So slicing and lifting are the same for all families. Source: HeteroFL, Diao et al. (2021).

    So is growing: a layer has a weight [units, units that it reads, *kernel] and a bias [units], hidden units are
    rectified, blocks (`block0` and so on) come one after another before the `head`, which is the last.
    """

    @abstractmethod
    def shapes(self, task: Task, size: Size = FULL) -> Shapes:
        """Name -> shape of each tensor of a model of this size; biases are one-dimensional."""

    @abstractmethod
    def apply(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> Float[Tensor, "clients samples outputs"]:
        """Logits or values of each client's model on that client's inputs; sizes are read off the shapes."""

    @abstractmethod
    def trunk(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> Float[Tensor, "clients samples units"]:
        """What the head's units would see without their last nonlinearity: features of the inputs."""

    @abstractmethod
    def multiplies(self, task: Task, size: Size = FULL) -> int:
        """Multiply-adds of one sample's forward pass."""

    @abstractmethod
    def activations(self, task: Task, size: Size = FULL) -> int:
        """Numbers that the forward pass of one sample leaves for its backward pass."""

    @abstractmethod
    def widened(self, factor: float) -> Self:
        """The family with its full width multiplied; the depth stays."""

    @abstractmethod
    def hidden(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> dict[str, Float[Tensor, "clients samples units *place"]]:
        """What the units of each hidden layer say, rectified, in order; a block's without what it adds it to."""

    def layers(self, task: Task, size: Size = FULL) -> dict[str, int]:
        """Number of units of each hidden layer, in order, by the names of `hidden`."""
        shapes = self.shapes(task, size)
        return {
            name.removesuffix(".bias"): shape[0]
            for name, shape in shapes.items()
            if name.endswith(".bias") and name != "head.bias"
        }

    @property
    @abstractmethod
    def skips(self) -> bool:
        """Whether a block adds to what it reads; else it replaces it."""

    @property
    def deepens(self) -> bool:
        """Whether a block more can pass on what it reads: so it is where hidden units are rectified."""
        return True

    def composed(
        self, parameters: Parameters, matrix: Float[Tensor, "inputs inputs"], offset: Float[Tensor, " inputs"]
    ) -> dict[str, Tensor]:
        """The same models after an affine map of flat inputs: f(x matrix + offset), exactly.

        Raises:
            InputError: the family does not begin with a layer that takes such a map in.
        """
        raise InputError(f"model: {self.kind()} takes no coordinates in; leave experts.coordinates out, or take mlp")

    def vjp(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"]
    ) -> tuple[Float[Tensor, "clients samples outputs"], Vjp]:
        """The outputs of `apply`, and the map from a loss's gradients along the outputs to those along the weights.

        By automatic differentiation; a family may know a faster way to the same.
        """
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in parameters.items()}
        outputs = self.apply(leaves, inputs)

        def vjp(gradients: Tensor) -> dict[str, Gradient]:
            return dict(zip(leaves, torch.autograd.grad(outputs, list(leaves.values()), gradients), strict=True))

        return outputs.detach(), vjp

    @torch.no_grad()
    def asked(
        self, parameters: Parameters, inputs: Float[Tensor, "samples *shape"], task: Task
    ) -> Float[Tensor, "models samples outputs"]:
        """What several models say of the same samples, of which as many go through them at once as fit the cache."""
        models = len(next(iter(parameters.values())))
        at_once = max(1, CACHE // (4 * models * self.activations(task)))
        parts = torch.split(inputs, at_once)
        return torch.cat([self.apply(parameters, part.expand(models, *part.shape)) for part in parts], 1)

    def row_squares(
        self, parameters: Parameters, inputs: Float[Tensor, "clients samples *shape"], gradients: Along
    ) -> Float[Tensor, "clients samples"]:
        """Squared norm of the gradients along all weights, of each row alone.

        Each row has a model of its own here; a family may know a way without so many copies.
        """
        table = inputs.shape[:2]
        each = {name: tensor.repeat_interleave(table[1], 0) for name, tensor in parameters.items()}
        outputs, vjp = self.vjp(each, inputs.flatten(0, 1).unsqueeze(1))
        found = vjp(gradients(outputs.view(*table, -1)).reshape(outputs.shape))
        return torch.stack([written_out(t).flatten(1).square().sum(1) for t in found.values()]).sum(0).view(table)

    def working_set(self, task: Task, batch: int, size: Size = FULL) -> int:
        """Bytes that one step of one client goes through: its weights, its batch's activations and their gradients."""
        return 4 * (self.parameters(task, size) + 2 * batch * self.activations(task, size))

    def at_once(self, task: Task, batch: int, within: int) -> int:
        """How many clients, trained together, still fit into so many bytes: at least one."""
        return max(1, within // self.working_set(task, batch))

    def init(self, task: Task, draw: torch.Generator) -> dict[str, Tensor]:
        """A fresh full-size model: He's normal weights, zero biases. Source: He et al. (2015)."""
        model = {}
        for name, shape in self.shapes(task).items():
            scale = 0.0 if len(shape) == 1 else sqrt(2 / prod(shape[1:])) * self.gain(name)
            model[name] = scale * torch.randn(shape, generator=draw)
        return model

    def gain(self, name: str) -> float:
        """Factor on the initial weights of one tensor."""
        return 1.0

    def slice(self, parameters: Parameters, task: Task, size: Size) -> dict[str, Tensor]:
        """The model of a size inside this one, all of it where it is no larger; a leading clients axis is kept."""
        cut = {}
        for name, shape in self.shapes(task, size).items():
            place: tuple[EllipsisType | slice, ...] = (..., *corner(shape))
            if name in parameters:
                cut[name] = parameters[name][place]
        return cut

    def turned(self, parameters: Parameters, task: Task, units: int) -> dict[str, Tensor]:
        """The same function with the units of every hidden layer moved on in a ring, so that unit `units` comes first.

        Hidden units have no order of their own: the outputs stay. So the slices of a turned model are windows that roll
        over all units of the whole one. Turning by `-units` turns it back. Source: FedRolex, Alam et al. (2022).
        """
        narrowest, turned = self.shapes(task, NARROWEST), {}
        for name, shape in self.shapes(task).items():
            hidden = [axis for axis, length in enumerate(shape) if length > narrowest[name][axis]]
            turned[name] = parameters[name].roll([-units] * len(hidden), hidden) if hidden else parameters[name]
        return turned

    def grown(
        self, parameters: Parameters, task: Task, before: Size, after: Size, draw: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """The same function as a model of a larger size of this family: first wider, then deeper; see `net2net`.

        Leading slices of it say something else than before: what copies share is divided among them.

        Args:
            parameters: of size `before`.
        """
        between = self.shapes(task, Size(width=after.width, depth=before.depth))
        wide = widened(parameters, self.shapes(task, before), between, draw)
        return deepened(wide, between, self.shapes(task, after), self.skips)

    def parameters(self, task: Task, size: Size = FULL) -> int:
        """Number of weights of a model of this size."""
        return sum(prod(shape) for shape in self.shapes(task, size).values())

    def sized_to(self, task: Task, parameters: int) -> Self:
        """The family whose full model is closest to this number of parameters.

        Raises:
            InputError: the family cannot be made as wide.
        """
        low, high = 0.02, 1.0
        while (here := self.widened(high).parameters(task)) < parameters:
            high *= 2
            if self.widened(high).parameters(task) <= here:
                raise InputError(
                    f"model: {self.kind()} has {here:,} parameters at any width; {parameters:,} are asked for"
                )
        for _ in range(40):
            middle = sqrt(low * high)
            low, high = (middle, high) if self.widened(middle).parameters(task) < parameters else (low, middle)
        return min(
            (self.widened(low), self.widened(high)), key=lambda family: abs(family.parameters(task) - parameters)
        )
