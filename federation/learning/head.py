"""The head h of p_0(y|x) proportional to (chart posterior of the labels) x exp(h(x)): the world without experts."""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.manifold.features import FeatureMap
from federation.models.mlp import Mlp, mean_of
from federation.rules import Frozen
from federation.tasks import Task
from federation.tensors import Parameters, Shapes, count


class Head(Frozen):
    """A last layer over hidden units, or over what these would read.

    Attributes:
        hidden: number of hidden units; 0: the last layer reads the features themselves.
        features: of the raw input, fixed and the same for all clients; None: what the shared encoder makes of it.
    """

    hidden: int = Field(default=64, ge=0)
    features: FeatureMap | None = None

    def reads(
        self, rows: Float[Tensor, "samples *shape"], latent: Float[Tensor, "samples latent"]
    ) -> Float[Tensor, "samples read"]:
        """What the network sees of samples, given what the encoder makes of them."""
        return latent if self.features is None else self.features.apply(rows)

    def units(
        self, parameters: Parameters, read: Float[Tensor, "clients samples read"]
    ) -> Float[Tensor, "clients samples units"]:
        """What the last layer sees."""
        return self._network.hidden(parameters, read)["stem"] if self.hidden else read

    def apply(
        self, parameters: Parameters, read: Float[Tensor, "clients samples read"]
    ) -> Float[Tensor, "clients samples labels"]:
        """h, of each client's network on that client's samples."""
        weight, bias = parameters["head.weight"], parameters["head.bias"]
        return torch.baddbmm(bias.unsqueeze(1), self.units(parameters, read), weight.transpose(1, 2))

    def shapes(self, task: Task, latent: int) -> Shapes:
        """Name -> shape of each tensor, where the encoder gives so many numbers."""
        read = latent if self.features is None else self.features.width(task.input_shape)
        if self.hidden:
            return self._network.shapes(task.model_copy(update={"input_shape": (read,)}))
        return {"head.weight": (task.outputs, read), "head.bias": (task.outputs,)}

    def init(self, task: Task, latent: int, draw: torch.Generator) -> dict[str, Tensor]:
        """A head that says nothing yet: random hidden units, a last layer of zeros."""
        wanted = self.shapes(task, latent)
        fresh = {name: torch.zeros(shape) for name, shape in wanted.items()}
        if self.hidden:
            stem = self._network.init(task.model_copy(update={"input_shape": wanted["stem.weight"][1:]}), draw)
            fresh |= {name: stem[name] for name in ("stem.weight", "stem.bias")}
        return fresh

    def constants(self, task: Task) -> int:
        """Numbers that its features are made of, which nobody trains; they count among the parameters."""
        return 0 if self.features is None else self.features.constants(task.input_shape)

    def multiplies(self, task: Task, parameters: Parameters) -> int:
        """Multiply-adds of one sample, features included."""
        return count(parameters) + (0 if self.features is None else self.features.multiplies(task.input_shape))

    def beside(self, other: "Head") -> "Head":
        """A head that holds the hidden units of both."""
        return self.model_copy(update={"hidden": self.hidden + other.hidden})

    def mean_of(self, one: Parameters, other: Parameters, share: float) -> dict[str, Tensor]:
        """The network of `beside`: share x the outputs of the first + (1 - share) x those of the second."""
        if self.hidden:
            return mean_of(one, other, share)
        return {name: share * one[name] + (1 - share) * other[name] for name in one}

    @property
    def _network(self) -> Mlp:
        return Mlp(width=self.hidden, blocks=0)
