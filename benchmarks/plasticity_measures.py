"""How well a model can still learn: dormant units, effective ranks, and the curvature that it has gathered.

All is measured for a whole cohort at once, and kept as sums over rows: those of several batches, or of clients that
hold the same model, add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from federation.learning.plasticity import TAU, silent
from federation.models import ElasticFamily
from federation.tasks import Task
from federation.tensors import Parameters


@dataclass(frozen=True)
class LayerSums:
    """Sums over rows of what one layer's units say; a row is a sample, or a place of a sample's map."""

    magnitudes: Float[Tensor, "clients units"]
    products: Float[Tensor, "clients units units"]

    @staticmethod
    def of(
        said: Float[Tensor, "clients samples units *place"], weights: Float[Tensor, "clients samples"]
    ) -> "LayerSums":
        """Of what the units say on each sample, in float64, so that small singular values are not lost."""
        rows = said.flatten(3).transpose(2, 3).flatten(1, 2) if said.dim() > 3 else said
        each = weights.repeat_interleave(rows.shape[1] // weights.shape[1], 1).double()
        weighted = rows * each.unsqueeze(2)
        return LayerSums(weighted.abs().sum(1), weighted.mT @ rows.double())

    def __add__(self, other: "LayerSums") -> "LayerSums":
        return LayerSums(self.magnitudes + other.magnitudes, self.products + other.products)

    def together(self) -> "LayerSums":
        """Over all clients, as of one."""
        return LayerSums(self.magnitudes.sum(0, keepdim=True), self.products.sum(0, keepdim=True))

    def dormant(self, tau: float = TAU) -> Bool[Tensor, "clients units"]:
        """Units whose mean activation is at most `tau` x the layer's mean; in a silent layer, all."""
        return silent(self.magnitudes, torch.ones_like(self.magnitudes), tau)

    def rank(self) -> Float[Tensor, " clients"]:
        """Effective rank of the layer's activations, from the eigenvalues of their products."""
        return effective_rank(torch.linalg.eigvalsh(self.products).clamp_min(0).sqrt())


@dataclass(frozen=True)
class Evidence:
    """Sums over each client's samples, of which the measures are made."""

    samples: Float[Tensor, " clients"]
    layers: Mapping[str, LayerSums]
    squares: Float[Tensor, " clients"]

    def __add__(self, other: "Evidence") -> "Evidence":
        layers = {name: sums + other.layers[name] for name, sums in self.layers.items()}
        return Evidence(self.samples + other.samples, layers, self.squares + other.squares)

    def together(self) -> "Evidence":
        """Over all clients, which hold the same model, as of one."""
        layers = {name: sums.together() for name, sums in self.layers.items()}
        return Evidence(self.samples.sum(0, keepdim=True), layers, self.squares.sum(0, keepdim=True))

    def dormant_share(self, tau: float = TAU) -> Float[Tensor, " clients"]:
        """Share of all hidden units that are dormant in their layer."""
        return torch.cat([sums.dormant(tau) for sums in self.layers.values()], 1).double().mean(1)

    def fisher_trace(self) -> Float[Tensor, " clients"]:
        """Mean squared norm of a sample's gradients along all weights: the trace of the Fisher information."""
        return self.squares / self.samples.clamp_min(1)

    def capacity(self, at_first: float = 1.0) -> Float[Tensor, " clients"]:
        """C_eff = C_0 / (1 + R), where the curvature R is the trace of the Fisher information: our reading of R.

        Source: Ma and Shi (2025), Deep Manifold Part 2, section 5.3.
        """
        return at_first / (1 + self.fisher_trace())


def evidence(
    family: ElasticFamily,
    task: Task,
    models: Parameters,
    inputs: Float[Tensor, "clients samples *shape"],
    targets: Shaped[Tensor, "clients samples ..."],
    weights: Float[Tensor, "clients samples"] | None = None,
) -> Evidence:
    """The sums of each client's model over that client's samples.

    Args:
        targets: those that the models draw themselves (`drawn`) give the Fisher information; those of the data the
            empirical one, which also falls as the loss does.
        weights: one for each sample, zero for padding; None: all one.
    """
    weights = inputs.new_ones(inputs.shape[:2]) if weights is None else weights
    weights = weights.double()
    layers = {name: LayerSums.of(said, weights) for name, said in family.hidden(models, inputs).items()}
    squares = family.row_squares(models, inputs, lambda outputs: task.gradients(outputs, targets)[1])
    return Evidence(weights.sum(1), layers, (weights * squares).sum(1))


def drawn(
    task: Task, outputs: Float[Tensor, "clients samples outputs"], draw: torch.Generator
) -> Shaped[Tensor, "clients samples ..."]:
    """Targets as the models themselves expect them: classes, or values with a variance of one."""
    if not task.classifies:
        return outputs + torch.randn(outputs.shape, generator=draw).to(outputs)
    return torch.multinomial(outputs.softmax(-1).flatten(0, 1), 1, generator=draw).view(outputs.shape[:2])


def effective_rank(singular: Float[Tensor, "*batch values"]) -> Float[Tensor, "*batch"]:
    """exp(H(sigma / sum sigma)) of singular values: between 1 and their number; 1 where all are zero.

    Source: Roy and Vetterli (2007).
    """
    shares = singular / singular.sum(-1, keepdim=True).clamp_min(torch.finfo(singular.dtype).tiny)
    entropy: Tensor = torch.special.entr(shares).sum(-1)
    return entropy.exp()


def weight_rank(weight: Float[Tensor, "clients units *read"]) -> Float[Tensor, " clients"]:
    """Effective rank of a layer's weights."""
    return effective_rank(torch.linalg.svdvals(weight.flatten(2).double()))
