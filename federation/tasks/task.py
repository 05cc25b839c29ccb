"""The contract of a task: what models predict, and how well."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from federation.functions import function
from federation.rules import InputError, Rule, Several

Outputs = Float[Tensor, "*rows outputs"]


class Task(Rule):
    """Contract: the shape of one sample, and what a model's outputs mean.

    Attributes:
        loss: what gradient steps minimise, as `module:function` of outputs [rows, outputs] and targets, one number a
            row; the task's own `losses` without it. Least squares, choices and reports keep these.
    """

    metric: ClassVar[str]
    """Name of the score, of which more is better."""

    classifies: ClassVar[bool] = False
    """Whether targets are classes: then charts are made of each label, and answers are calibrated."""

    target_dtype: ClassVar[torch.dtype] = torch.float32

    input_shape: Several[int]
    outputs: int
    loss: str | None = None

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
        """The task's own losses of each row."""

    def objective(self, outputs: Outputs, targets: Tensor) -> Float[Tensor, "*rows"]:
        """What steps minimise, of each row.

        Raises:
            InputError: the function of `loss` gives something else.
        """
        if self.loss is None:
            return self.losses(outputs, targets)
        rows, shape = outputs.flatten(0, -2), outputs.shape[:-1]
        found = function(self.loss)(rows, targets.reshape(len(rows), *targets.shape[len(shape) :]))
        if not isinstance(found, Tensor) or found.shape != (len(rows),) or not found.is_floating_point():
            given = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(
                f"loss {self.loss} gave {given} for {len(rows)} rows; expected a tensor of one number a row"
            )
        return found.view(shape)

    def descent(
        self, outputs: Float[Tensor, "clients rows outputs"], targets: Tensor
    ) -> tuple[Float[Tensor, "clients rows"], Float[Tensor, "clients rows outputs"]]:
        """The task's losses of each row, and the gradients of what steps minimise along the outputs."""
        if self.loss is None:
            return self.gradients(outputs, targets)
        with torch.enable_grad():
            free = outputs.detach().requires_grad_()
            [gradients] = torch.autograd.grad(self.objective(free, targets).sum(), free)
        return self.losses(outputs, targets), gradients

    def check_loss(self) -> None:
        """Try the function of `loss` on two rows.

        Raises:
            InputError: it cannot be imported, fails, or gives no numbers that a step could go down.
        """
        if self.loss is None:
            return
        targets = (1, 2) if self.classifies else (1, 2, self.outputs)
        try:
            _, gradients = self.descent(torch.zeros(1, 2, self.outputs), torch.zeros(targets, dtype=self.target_dtype))
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"loss {self.loss} fails on two rows of zeros: {type(error).__name__}: {error}") from error
        finite(gradients, f"gradients of loss {self.loss} on two rows of zeros")

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
    def scorable(self, targets: Tensor) -> bool:
        """Whether these targets tell a good answer from a bad one, so that they have a `score`."""

    @abstractmethod
    def measures(
        self, answers: Float[Tensor, "samples outputs"], targets: Tensor, names: Sequence[str] = ()
    ) -> dict[str, float]:
        """What else tells how well the answers fit, by name; what is not defined of these targets is left out.

        Args:
            names: of the outputs, where measures are of one output each.
        """

    @abstractmethod
    def constant(self, targets: Tensor) -> Float[Tensor, "samples outputs"]:
        """The best answer that is the same for all samples."""

    def constant_score(self, targets: Tensor) -> float:
        """The `score` of that answer."""
        return self.score(self.constant(targets), targets) if len(targets) else float("nan")


def finite(values: Tensor, where: str) -> None:
    """Refuse NaN and infinity."""
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise InputError(f"{where}: {bad} values are NaN or infinite; clean the data first")
