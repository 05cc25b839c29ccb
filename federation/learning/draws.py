"""Codes drawn from the Gaussians of clients' classes, in place of their samples."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from federation.data.samples import Samples
from federation.manifold import Chart
from federation.randomness import torch_generator


class Draws:
    """The codes of each epoch: from each client's Gaussian of each class as many as it stands for.

    Raises:
        ValueError: the charts hold no Gaussian.
    """

    def __init__(self, charts: Sequence[Chart], seed: int) -> None:
        labelled = [(label, moments) for chart in charts for label, moments in chart.components.items()]
        if not labelled:
            raise ValueError("no client has samples enough of one class for a Gaussian; lower charts.min_count")
        self._seed, self._counts = seed, [round(moments.count) for _, moments in labelled]
        self._means = [moments.mean.float() for _, moments in labelled]
        self._roots = [_root(moments.scatter / moments.count).float() for _, moments in labelled]
        self._labels = torch.tensor([label for label, _ in labelled]).repeat_interleave(torch.tensor(self._counts))

    def __call__(self, epoch: int) -> Samples:
        noise = torch_generator(self._seed, "features", epoch)
        standard = torch.split(torch.randn(len(self._labels), len(self._means[0]), generator=noise), self._counts)
        pairs = zip(self._means, self._roots, standard, strict=True)
        return Samples(torch.cat([mean + rows @ root for mean, root, rows in pairs]), self._labels)


def _root(covariance: Float[Tensor, "latent latent"]) -> Float[Tensor, "latent latent"]:
    """R with R^T R = covariance, which need not have full rank."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = values.clamp_min(0).sqrt().unsqueeze(1) * vectors.T
    return root
