"""The contract of a task: what models predict, and how well."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from federation.rules import InputError, Rule, Several

Outputs = Float[Tensor, "*rows outputs"]


class Task(Rule):
    """Contract: the shape of one sample, and what a model's outputs mean."""

    metric: ClassVar[str]
    """Name of the score, of which more is better."""

    classifies: ClassVar[bool] = False
    """Whether targets are classes: then charts are made of each label, and answers are calibrated."""

    target_dtype: ClassVar[torch.dtype] = torch.float32

    input_shape: Several[int]
    outputs: int

    def rows(self, inputs: Tensor | NDArray[Any]) -> Float[Tensor, "samples *shape"]:
        """Inputs in single precision.

        Raises:
            InputError: they are of another shape, or NaN or infinity is among them.
        """
        rows = torch.as_tensor(inputs, dtype=torch.float32)
        if tuple(rows.shape[1:]) != self.input_shape:
            expected = ", ".join(map(str, self.input_shape))
            raise InputError(f"inputs of shape {list(rows.shape)}; expected [samples, {expected}]")
        finite(rows, "inputs")
        return rows

    @abstractmethod
    def losses(self, outputs: Outputs, targets: Tensor) -> Float[Tensor, "*rows"]:
        """What is minimised, of each row."""

    @abstractmethod
    def gradients(
        self, outputs: Float[Tensor, "clients rows outputs"], targets: Tensor
    ) -> tuple[Float[Tensor, "clients rows"], Float[Tensor, "clients rows outputs"]]:
        """Losses of each row, and their gradients along the outputs."""

    @abstractmethod
    def answers(self, outputs: Outputs) -> Outputs:
        """What a model says."""

    @abstractmethod
    def fitted(self, targets: Tensor) -> Float[Tensor, "samples outputs"]:
        """What least squares fits, in double precision."""

    @abstractmethod
    def likelihoods(self, answers: Outputs, targets: Tensor, variance: Tensor | float = 1.0) -> Float[Tensor, "*rows"]:
        """Probability of the true class, or the density at the true value.

        Args:
            variance: of each row's model, or of all; classes have none.
        """

    @abstractmethod
    def beliefs(self, answers: Outputs, variance: Tensor | float = 1.0) -> Float[Tensor, "*rows beliefs"]:
        """What of a model's distribution adds up in a mixture of models."""

    def relative(
        self, beliefs: Float[Tensor, "*rows beliefs"], level: Float[Tensor, "*#rows outputs"], unit: float
    ) -> Float[Tensor, "*rows beliefs"]:
        """Beliefs about values less a level, over a unit; of classes, which have neither, the beliefs themselves."""
        return beliefs

    @abstractmethod
    def divergences(
        self, outputs: Outputs, beliefs: Float[Tensor, "*rows beliefs"], variance: Tensor | float = 1.0
    ) -> tuple[Float[Tensor, "*rows"], Outputs]:
        """KL(p || q) in nats of what a model says from what others believe, and its gradients along the outputs.

        Args:
            beliefs: a mixture of others' `beliefs`; it is given, and has no gradient.
            variance: of each row's model, or of all.
        """

    @abstractmethod
    def errors(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> Float[Tensor, " samples"]:
        """Of each sample, what 1 - `score` is the mean of."""

    @abstractmethod
    def score(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> float:
        """How well the answers fit, NaN of no samples; 1 is perfect."""

    @abstractmethod
    def constant_score(self, targets: Tensor) -> float:
        """The `score` of the best answer that is the same for all samples."""


def finite(values: Tensor, where: str) -> None:
    """Refuse NaN and infinity."""
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise InputError(f"{where}: {bad} values are NaN or infinite; clean the data first")
