"""What hidden units make of what they read: a function, the way back through it, and the initial weights it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt
from typing import Literal

import torch
from torch import Tensor

Name = Literal["relu", "silu", "tanh", "sine"]


@dataclass(frozen=True)
class Activation:
    """One kind of hidden units.

    Attributes:
        apply: may overwrite what it is given.
        back: gradients along what units say, what they read, and what they said -> gradients along what they read.
        gain: factor on He's initial weights.
        frequency: the same of the first layer, beside its gain.
        phase: the first layer's biases are drawn between minus and plus this.
    """

    apply: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, Tensor, Tensor], Tensor]
    gain: float = 1.0
    frequency: float = 1.0
    phase: float = 0.0


ACTIVATIONS: dict[Name, Activation] = {
    "relu": Activation(Tensor.relu_, lambda along, read, said: torch.ops.aten.threshold_backward(along, said, 0)),
    "silu": Activation(torch.nn.functional.silu, lambda along, read, said: torch.ops.aten.silu_backward(along, read)),
    "tanh": Activation(
        Tensor.tanh_, lambda along, read, said: torch.ops.aten.tanh_backward(along, said), gain=1 / sqrt(2)
    ),
    "sine": Activation(Tensor.sin, lambda along, read, said: along * read.cos(), frequency=2.0, phase=pi),
}
"""By name. Sources: He et al. (2015), Elfwing et al. (2018), Glorot and Bengio (2010), Sitzmann et al. (2020)."""
