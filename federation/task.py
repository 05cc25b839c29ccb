"""What models predict, classes or real values: losses, predictions, likelihoods and scores of both."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from federation.rules import Frozen, InputError, Several

DOUBT = 0.01
"""Share of the uniform distribution in what others are told of a model: one that never saw a class does not rule it
out."""

LEAST_VARIANCE = 1e-6
"""Lower bound of a Gaussian head's variance, in squared units of the targets."""


class Task(Frozen):
    """Shape of one sample, and the kind and number of outputs.

    A model of real values is a Gaussian head: it says N(outputs, variance I), with one variance a model. Targets should
    be standardised by the scenario, since all coordinates share it.
    """

    kind: Literal["classification", "regression"]
    input_shape: Several[int]
    outputs: int

    @property
    def classifies(self) -> bool:
        """Whether targets are classes (else real vectors)."""
        return self.kind == "classification"

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

    @property
    def metric(self) -> str:
        """Name of the score, of which more is better."""
        return "accuracy" if self.classifies else "r2"

    def losses(self, outputs: Float[Tensor, "*rows outputs"], targets: Tensor) -> Float[Tensor, "*rows"]:
        """Cross-entropy in nats, or half the squared error summed over coordinates, for each row."""
        if self.classifies:
            flat = F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none")
            return flat.view(targets.shape)
        return 0.5 * (outputs - targets).square().sum(-1)

    def gradients(
        self, outputs: Float[Tensor, "clients rows outputs"], targets: Tensor
    ) -> tuple[Float[Tensor, "clients rows"], Float[Tensor, "clients rows outputs"]]:
        """Losses of each row, and their gradients along the outputs."""
        if not self.classifies:
            return self.losses(outputs, targets), outputs - targets
        # Classes before rows: the kernels then run along rows, several times faster for few classes.
        logs = outputs.transpose(1, 2).log_softmax(1)
        true = targets.unsqueeze(1)
        losses = -logs.gather(1, true).squeeze(1)
        gradients = logs.exp_()
        gradients.scatter_add_(1, true, torch.full_like(losses, -1.0).unsqueeze(1))
        return losses, gradients.transpose(1, 2)

    def answers(self, outputs: Float[Tensor, "*rows outputs"]) -> Float[Tensor, "*rows outputs"]:
        """What a model says: probabilities of the classes, or the predicted values."""
        return outputs.softmax(-1) if self.classifies else outputs

    def likelihoods(
        self, answers: Float[Tensor, "*rows outputs"], targets: Tensor, variance: Tensor | float = 1.0
    ) -> Float[Tensor, "*rows"]:
        """Probability of the true class, or the density of N(answers, variance I) at the true value.

        The density lacks the factor (2 pi)^(-outputs / 2), which is the same for all models.
        Args:
            variance: of each row's model, or of all; classes have none.
        """
        if self.classifies:
            return answers.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        squared = (answers - targets).square().sum(-1)
        return (-0.5 * squared / variance).exp() * variance ** (-self.outputs / 2)

    def beliefs(
        self, answers: Float[Tensor, "*rows outputs"], variance: Tensor | float = 1.0
    ) -> Float[Tensor, "*rows beliefs"]:
        """What of a model's distribution adds up in a mixture of models.

        The probabilities of the classes, a little doubted; or the mean and, last, the mean square over coordinates of
        N(answers, variance I).
        """
        if self.classifies:
            return (1 - DOUBT) * answers + DOUBT / self.outputs
        return torch.cat([answers, (variance + answers.square().mean(-1)).unsqueeze(-1)], -1)

    def divergences(
        self,
        outputs: Float[Tensor, "*rows outputs"],
        beliefs: Float[Tensor, "*rows beliefs"],
        variance: Tensor | float = 1.0,
    ) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows outputs"]]:
        """KL(p || q) in nats of what a model says from what others believe, and its gradients along the outputs.

        A mixture of Gaussians is taken as the Gaussian N(m, v I) of its mean and variance. Then KL is
        (outputs / 2) (log v / s + s / v - 1) + |f - m|^2 / 2v for a model N(f, s I): among equal variances, the squared
        jump between the two over twice the variance.
        Args:
            beliefs: a mixture of others' `beliefs`; it is given, and has no gradient.
            variance: s, of each row's model, or of all.
        """
        if self.classifies:
            logs = outputs.log_softmax(-1)
            ratios = logs - beliefs.clamp_min(1e-9).log()
            divergences = (logs.exp() * ratios).sum(-1)
            return divergences, logs.exp() * (ratios - divergences.unsqueeze(-1))
        mean, square = beliefs[..., :-1], beliefs[..., -1]
        width = (square - mean.square().mean(-1)).clamp_min(LEAST_VARIANCE)
        ratio, jump = variance / width, outputs - mean
        divergences = 0.5 * (self.outputs * (ratio - ratio.log() - 1) + jump.square().sum(-1) / width)
        return divergences, jump / width.unsqueeze(-1)

    def errors(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> Float[Tensor, " samples"]:
        """Of each sample, what 1 - `score` is the mean of: whether it is wrong, or its squared error over the variance
        of the targets."""
        if self.classifies:
            return (answers.argmax(-1) != targets).double()
        spread = (targets.double() - targets.double().mean(0)).square().sum(1).mean()
        return (answers - targets).double().square().sum(1) / spread.clamp_min(1e-12)

    def score(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> float:
        """Accuracy, or R2 = 1 - (squared error / variance of the targets): 1 is perfect, 0 is the mean's."""
        if len(targets) == 0:
            return float("nan")
        if self.classifies:
            return float((answers.argmax(-1) == targets).double().mean())
        spread = (targets - targets.mean(0)).square().sum()
        return float(1 - (answers - targets).square().sum() / spread.clamp_min(1e-12))

    def constant_score(self, targets: Tensor) -> float:
        """The `score` of the best answer that is the same for all samples: the most frequent class, or the mean."""
        if len(targets) == 0:
            return float("nan")
        return float(targets.bincount().max() / len(targets)) if self.classifies else 0.0

    def target_dtype(self) -> torch.dtype:
        """dtype of targets as tensors."""
        return torch.int64 if self.classifies else torch.float32


def finite(values: Tensor, where: str) -> None:
    """Refuse NaN and infinity."""
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise InputError(f"{where}: {bad} values are NaN or infinite; clean the data first")
