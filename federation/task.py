"""What the models are asked: classes or real values. The one place where the two differ."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from federation.rules import Frozen, Several


class Task(Frozen):
    """Shape of one sample, and the kind and number of outputs."""

    kind: Literal["classification", "regression"]
    input_shape: Several[int]
    outputs: int

    @property
    def classifies(self) -> bool:
        """Whether targets are classes (else real vectors)."""
        return self.kind == "classification"

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

    def slopes(
        self, outputs: Float[Tensor, "clients rows outputs"], targets: Tensor
    ) -> tuple[Float[Tensor, "clients rows"], Float[Tensor, "clients rows outputs"]]:
        """Losses of each row, and their slopes along the outputs."""
        if not self.classifies:
            return self.losses(outputs, targets), outputs - targets
        # Classes before rows: the kernels then run along rows, several times faster for few classes.
        logs = outputs.transpose(1, 2).log_softmax(1)
        true = targets.unsqueeze(1)
        losses = -logs.gather(1, true).squeeze(1)
        slopes = logs.exp_()
        slopes.scatter_add_(1, true, torch.full_like(losses, -1.0).unsqueeze(1))
        return losses, slopes.transpose(1, 2)

    def answers(self, outputs: Float[Tensor, "*rows outputs"]) -> Float[Tensor, "*rows outputs"]:
        """What a model says: probabilities of the classes, or the predicted values."""
        return outputs.softmax(-1) if self.classifies else outputs

    def likelihoods(self, answers: Float[Tensor, "*rows outputs"], targets: Tensor) -> Float[Tensor, "*rows"]:
        """Probability of the true class, or the unit Gaussian's density (unnormalised) at the true value."""
        if self.classifies:
            return answers.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return (-0.5 * (answers - targets).square().sum(-1)).exp()

    def score(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> float:
        """Accuracy, or R2 = 1 - (squared error / variance of the targets): 1 is perfect, 0 is the mean's."""
        if len(targets) == 0:
            return float("nan")
        if self.classifies:
            return float((answers.argmax(-1) == targets).double().mean())
        spread = (targets - targets.mean(0)).square().sum()
        return float(1 - (answers - targets).square().sum() / spread.clamp_min(1e-12))

    def target_dtype(self) -> torch.dtype:
        """dtype of targets as tensors."""
        return torch.int64 if self.classifies else torch.float32
