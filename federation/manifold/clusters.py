"""Clusters among one client's samples: a mixture of as many Gaussians as the Bayesian information criterion wants."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def clustered(latent: Float[Tensor, "samples latent"], most: int, least: int, seed: int) -> Int[Tensor, " samples"]:
    """The cluster of each sample, counted from zero. Numbers of clusters are tried one after another, as long as they
    are better than the last.

    Args:
        most: clusters.
        least: samples a cluster; where a mixture needs fewer it is not tried.
        seed: of the starts.
    """
    best, found = torch.zeros(len(latent), dtype=torch.int64), float("inf")
    if most == 1:
        return best
    from sklearn.mixture import GaussianMixture  # takes a second, and most federations need none
    from threadpoolctl import threadpool_limits

    rows = latent.double().numpy()
    with threadpool_limits(1):  # the matrices are small, and threads that wait for one another take most of the time
        for count in range(1, min(most, len(rows) // max(least, rows.shape[1] + 1)) + 1):
            mixture = GaussianMixture(count, init_params="k-means++", n_init=3, random_state=seed).fit(rows)
            if (price := mixture.bic(rows)) >= found:
                break
            best, found = torch.from_numpy(mixture.predict(rows)), price
    return best
