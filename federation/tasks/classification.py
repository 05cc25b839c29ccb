"""Classes: models give logits, and answer with probabilities."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from federation.tasks.task import Outputs, Task

DOUBT = 0.01
"""Share of the uniform distribution in what others are told of a model: one that never saw a class does not rule it
out."""


class Classification(Task):
    """One of `outputs` classes, by cross-entropy in nats and accuracy."""

    metric: ClassVar[str] = "accuracy"
    classifies: ClassVar[bool] = True
    target_dtype: ClassVar[torch.dtype] = torch.int64

    def losses(self, outputs: Outputs, targets: Tensor) -> Float[Tensor, "*rows"]:
        flat = F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none")
        return flat.view(targets.shape)

    def gradients(
        self, outputs: Float[Tensor, "clients rows outputs"], targets: Tensor
    ) -> tuple[Float[Tensor, "clients rows"], Float[Tensor, "clients rows outputs"]]:
        # Classes before rows: the kernels then run along rows, several times faster for few classes.
        logs = outputs.transpose(1, 2).log_softmax(1)
        true = targets.unsqueeze(1)
        losses = -logs.gather(1, true).squeeze(1)
        gradients = logs.exp_()
        gradients.scatter_add_(1, true, torch.full_like(losses, -1.0).unsqueeze(1))
        return losses, gradients.transpose(1, 2)

    def answers(self, outputs: Outputs) -> Outputs:
        return outputs.softmax(-1)

    def fitted(self, targets: Tensor) -> Float[Tensor, "samples outputs"]:
        return F.one_hot(targets, self.outputs).double()

    def likelihoods(self, answers: Outputs, targets: Tensor, variance: Tensor | float = 1.0) -> Float[Tensor, "*rows"]:
        return answers.gather(-1, targets.unsqueeze(-1)).squeeze(-1)

    def beliefs(self, answers: Outputs, variance: Tensor | float = 1.0) -> Float[Tensor, "*rows beliefs"]:
        """The probabilities, a little doubted."""
        return (1 - DOUBT) * answers + DOUBT / self.outputs

    def divergences(
        self, outputs: Outputs, beliefs: Float[Tensor, "*rows beliefs"], variance: Tensor | float = 1.0
    ) -> tuple[Float[Tensor, "*rows"], Outputs]:
        logs = outputs.log_softmax(-1)
        ratios = logs - beliefs.clamp_min(1e-9).log()
        divergences = (logs.exp() * ratios).sum(-1)
        return divergences, logs.exp() * (ratios - divergences.unsqueeze(-1))

    def errors(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> Float[Tensor, " samples"]:
        """Whether it is wrong."""
        return (answers.argmax(-1) != targets).double()

    def score(self, answers: Float[Tensor, "samples outputs"], targets: Tensor) -> float:
        """Accuracy."""
        return float((answers.argmax(-1) == targets).double().mean())

    def scorable(self, targets: Tensor) -> bool:
        return len(targets) > 0

    def measures(
        self, answers: Float[Tensor, "samples outputs"], targets: Tensor, names: Sequence[str] = ()
    ) -> dict[str, float]:
        """Balanced accuracy (mean recall), F1, area under the ROC curve of each class against all others, and average
        precision: means over the classes that targets have. A single class has no areas."""
        from sklearn import metrics  # takes a second to import

        said, true = answers.argmax(-1).numpy(), targets.numpy()
        present = np.unique(true)
        each = {"labels": present, "average": "macro", "zero_division": 0.0}
        found = {
            "balanced_accuracy": metrics.recall_score(true, said, **each),
            "f1": metrics.f1_score(true, said, **each),
        }
        if len(present) > 1:
            ranked = true[:, None] == present, answers.double().numpy()[:, present]
            found["auroc"] = metrics.roc_auc_score(*ranked)
            found["average_precision"] = metrics.average_precision_score(*ranked)
        return {name: float(value) for name, value in found.items()}

    def constant(self, targets: Tensor) -> Float[Tensor, "samples outputs"]:
        """The most frequent class."""
        most = targets.bincount(minlength=self.outputs).argmax()
        return F.one_hot(most, self.outputs).float().expand(len(targets), -1)
