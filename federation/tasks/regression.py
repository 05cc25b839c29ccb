"""Real values: a model is a Gaussian head, which says N(outputs, variance I) with one variance a model."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from federation.tasks.task import Outputs, Task

LEAST_VARIANCE = 1e-6
"""Lower bound of a Gaussian head's variance, in squared units of the targets."""


class Regression(Task):
    """`outputs` real values, by half the squared error summed over them, and R2.

    Targets should be standardised by the scenario, since all of them share one variance.
    """

    metric: ClassVar[str] = "r2"

    def losses(self, outputs: Outputs, targets: Tensor) -> Float[Tensor, "*rows"]:
        return 0.5 * (outputs - targets).square().sum(-1)

    def gradients(
        self, outputs: Float[Tensor, "clients rows outputs"], targets: Tensor
    ) -> tuple[Float[Tensor, "clients rows"], Float[Tensor, "clients rows outputs"]]:
        return self.losses(outputs, targets), outputs - targets

    def answers(self, outputs: Outputs) -> Outputs:
        return outputs

    def fitted(self, targets: Tensor) -> Float[Tensor, "samples outputs"]:
        return targets.double()

    def likelihoods(self, answers: Outputs, targets: Tensor, variance: Tensor | float = 1.0) -> Float[Tensor, "*rows"]:
        """The density lacks the factor (2 pi)^(-outputs / 2), which is the same for all models."""
        squared = (answers - targets).square().sum(-1)
        return (-0.5 * squared / variance).exp() * variance ** (-self.outputs / 2)

    def beliefs(self, answers: Outputs, variance: Tensor | float = 1.0) -> Float[Tensor, "*rows beliefs"]:
        """The mean and, last, the mean square over coordinates of N(answers, variance I)."""
        return torch.cat([answers, (variance + answers.square().mean(-1)).unsqueeze(-1)], -1)

    def relative(
        self, beliefs: Float[Tensor, "*rows beliefs"], level: Float[Tensor, "*#rows outputs"], unit: float
    ) -> Float[Tensor, "*rows beliefs"]:
        mean, square = beliefs[..., :-1], beliefs[..., -1]
        spread, moved = square - mean.square().mean(-1), (mean - level) / unit
        return torch.cat([moved, (spread / unit**2 + moved.square().mean(-1)).unsqueeze(-1)], -1)

    def divergences(
        self, outputs: Outputs, beliefs: Float[Tensor, "*rows beliefs"], variance: Tensor | float = 1.0
    ) -> tuple[Float[Tensor, "*rows"], Outputs]:
        """A mixture of Gaussians is taken as the Gaussian N(m, v I) of its mean and variance.

        Then KL is (outputs / 2) (log v / s + s / v - 1) + |f - m|^2 / 2v for a model N(f, s I): among equal variances,
        the squared jump between the two over twice the variance.
        """
        mean, square = beliefs[..., :-1], beliefs[..., -1]
        width = (square - mean.square().mean(-1)).clamp_min(LEAST_VARIANCE)
        ratio, jump = variance / width, outputs - mean
        divergences = 0.5 * (self.outputs * (ratio - ratio.log() - 1) + jump.square().sum(-1) / width)
        return divergences, jump / width.unsqueeze(-1)

    def errors(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> Float[Tensor, " samples"]:
        """Its squared error over the variance of the targets."""
        spread = (targets.double() - targets.double().mean(0)).square().sum(1).mean()
        return (answers - targets).double().square().sum(1) / spread.clamp_min(1e-12)

    def score(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> float:
        """R2 = 1 - (squared error / variance of the targets): 0 is the mean's."""
        if len(targets) == 0:
            return float("nan")
        spread = (targets - targets.mean(0)).square().sum()
        return float(1 - (answers - targets).square().sum() / spread.clamp_min(1e-12))

    def scorable(self, targets: Tensor) -> bool:
        """Whether they vary."""
        return len(targets) > 0 and bool((targets != targets[0]).any())

    def measures(
        self, answers: Float[Tensor, "samples outputs"], targets: Tensor, names: Sequence[str] = ()
    ) -> dict[str, float]:
        """Root mean squared and mean absolute error of each output, in its unit, and R2, which a constant has not.

        Of several outputs names follow: `rmse 0`, or `rmse price`.
        """
        from sklearn import metrics  # takes a second to import

        several = list(names) if len(names) == self.outputs else list(map(str, range(self.outputs)))
        found: dict[str, float] = {}
        for place, name in enumerate(several if self.outputs > 1 else [""]):
            pair = targets[:, place].double().numpy(), answers[:, place].double().numpy()
            own = {"rmse": metrics.root_mean_squared_error(*pair), "mae": metrics.mean_absolute_error(*pair)}
            if self.scorable(targets[:, place]):
                own["r2"] = metrics.r2_score(*pair)
            found |= {f"{measure} {name}".strip(): float(value) for measure, value in own.items()}
        return found

    def constant(self, targets: Tensor) -> Float[Tensor, "samples outputs"]:
        """The mean."""
        return targets.mean(0).expand(len(targets), -1)
