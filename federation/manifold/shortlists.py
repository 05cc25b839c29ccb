"""Shortlists: which few components may have a say near each component, so that a query need not ask all of them.

A query goes to the component whose mean is nearest, and is scored by the components on its shortlist: those that
expect the most of that component's samples. The nearest mean is sought among those of the query's cell alone, so that
the work of a query grows with the root of the number of components. Source: Gaussian selection, Bocchieri (1993).
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

from federation.manifold.atlas import Atlas
from federation.manifold.survey import Survey, grouped

CELLS, SWEEPS = 8.0, 8
"""Cells, and means that each of them knows, in units of the root of the number of components; Lloyd's iterations."""

NEIGHBOURS = 4
"""A shortlist is drawn from this many times as many components: those with the nearest means."""

BATCH = 128
"""Queries that are answered at once; those of one cell follow one another, since they ask the same components."""


@dataclass(frozen=True, eq=False)
class Shortlists:
    """The shortlists of an atlas, and what is needed to find and to score them, in float32.

    What is affine in z is a row of a table, to be multiplied with (z - origin, 1).

    Attributes:
        centre: closeness -|z - c|^2 / 2 to each cell's centre, less what is the same for all cells.
        near: the components whose means are nearest to each cell's centre.
        mean: closeness to each component's mean.
        listed: the shortlist of each component, ascending.
        slot: of each listed component, the first place on the list that holds its region.
        affine: of each component, its ways from its mean, and what of its density is affine.
        diagonal: of each component's precision.
        rank: ways of each component.
        mass: log of all samples behind the charts.
    """

    origin: Float[Tensor, " latent"]
    centre: Float[Tensor, "cells affine"]
    near: Int[Tensor, "cells members"]
    mean: Float[Tensor, "components affine"]
    listed: Int[Tensor, "components length"]
    slot: Int[Tensor, "components length"]
    affine: Float[Tensor, "rows affine"]
    diagonal: Float[Tensor, "components latent"]
    rank: int
    label: Int[Tensor, " components"]
    region: Int[Tensor, " components"]
    mass: float

    @staticmethod
    @lru_cache(maxsize=2)
    def of(atlas: Atlas, length: int) -> "Shortlists":
        """The shortlists of an atlas, drawn up once. It takes about a millisecond a component."""
        count, inverse = len(atlas.mean), atlas.precision
        origin = atlas.mean.mean(0)
        mean = atlas.mean - origin
        pull = inverse.diagonal * mean
        cells = min(count, ceil(CELLS * sqrt(count)))
        closeness = _closeness(mean.float())
        centre = _centres(mean.float(), cells)
        listed = torch.cat([_shortlist(atlas, these, length) for these in torch.split(torch.arange(count), BATCH // 4)])
        from_mean = torch.cat([inverse.ways, -torch.einsum("crl,cl->cr", inverse.ways, mean).unsqueeze(-1)], -1)
        straight = torch.cat([pull, (inverse.log_scale - 0.5 * (pull * mean).sum(1)).unsqueeze(1)], 1)
        return Shortlists(
            origin,
            centre,
            (_with_one(centre[:, :-1]) @ closeness.T).topk(cells).indices.sort(1).values,
            closeness,
            listed,
            _slots(atlas.region[listed]),
            torch.cat([from_mean, straight.unsqueeze(1)], 1).flatten(0, 1).float(),
            inverse.diagonal.float(),
            inverse.ways.shape[1],
            atlas.label,
            atlas.region,
            float(atlas.log_weight.logsumexp(0)),
        )

    def survey(self, latent: Float[Tensor, "samples latent"]) -> Survey:
        """The atlas as far as the shortlists reach: exact up to float32, but for components that are on no list."""
        rows = _with_one((latent.double() - self.origin).float())
        cell = _closest(rows, self.centre)
        order = cell.argsort()
        parts = [self._densities(rows[these], cell[these]) for these in torch.split(order, BATCH)]
        back = order.argsort()
        home, densities = (torch.cat(part)[back] for part in zip(*parts, strict=True))
        asked = self.listed[home]
        scores = grouped(densities, self.slot[home], asked.shape[1])
        return Survey(densities, self.label[asked], self.mass, scores, self.region[asked])

    def _densities(
        self, rows: Float[Tensor, "samples affine"], cell: Int[Tensor, " samples"]
    ) -> tuple[Int[Tensor, " samples"], Float[Tensor, "samples length"]]:
        """The component with the nearest mean, and the densities of those on its shortlist."""
        near = self.near[cell]
        home = near.gather(1, _products(rows, self.mean, near).max(1, keepdim=True).indices)[:, 0]
        asked, each = self.listed[home], self.rank + 1
        places = (asked.unsqueeze(-1) * each + torch.arange(each)).flatten(1)
        products = _products(rows, self.affine, places).view(*asked.shape, each)
        bowl = _products(rows[:, :-1].square(), self.diagonal, asked) - products[..., :-1].square().sum(-1)
        return home, (products[..., -1] - 0.5 * bowl).double()


def _shortlist(atlas: Atlas, homes: Int[Tensor, " homes"], length: int) -> Int[Tensor, "homes length"]:
    """Of each home, the components k of greatest E_{z in home}[log n_k N(z; mu_k, Sigma_k)], ascending.

    With D, F and V the diagonal, the factor and the variances of the home, P_k and W_k the precision's diagonal and
    ways of k, and d = mu - mu_k, it is log_scale_k - (P_k (d^2 + V) - |W_k d|^2 - |W_k D^1/2|^2 - |W_k F|^2) / 2.
    """
    pool = min(len(atlas.mean), NEIGHBOURS * length)
    near = torch.cdist(atlas.mean[homes], atlas.mean).topk(pool, largest=False).indices
    diagonal, factor = atlas.diagonal[homes].float(), atlas.factor[homes].float()
    apart = (atlas.mean[homes].unsqueeze(1) - atlas.mean[near]).float()
    precision, ways = atlas.precision.diagonal[near].float(), atlas.precision.ways[near].float().flatten(1, 2)
    variance = diagonal + factor.square().sum(-1)
    spread = (precision * (apart.square() + variance.unsqueeze(1))).sum(-1)
    shed = (ways @ factor).square().sum(-1) + (ways.square() @ diagonal.unsqueeze(-1)).squeeze(-1)
    shed = shed + (ways.view(*near.shape, -1, apart.shape[-1]) @ apart.unsqueeze(-1)).flatten(1).square()
    expected = atlas.precision.log_scale[near] - 0.5 * (spread - shed.view(*near.shape, -1).sum(-1))
    return near.gather(1, expected.topk(min(pool, length)).indices).sort(1).values


def _slots(region: Int[Tensor, "components length"]) -> Int[Tensor, "components length"]:
    """The first place in each row that holds the same region."""
    return torch.cat([(rows.unsqueeze(2) == rows.unsqueeze(1)).int().argmax(2) for rows in torch.split(region, BATCH)])


def _centres(mean: Float[Tensor, "components latent"], cells: int) -> Float[Tensor, "cells affine"]:
    """Closeness to the centres of k-means, which starts from means spread evenly over the numbering."""
    centre, rows = mean[torch.linspace(0, len(mean) - 1, cells).long()], _with_one(mean)
    for _ in range(SWEEPS):
        cell = _closest(rows, _closeness(centre))
        size = torch.bincount(cell, minlength=cells).unsqueeze(1)
        sums = torch.zeros_like(centre).index_add(0, cell, mean)
        centre = torch.where(size > 0, sums / size.clamp_min(1), centre)
    return _closeness(centre)


def _closest(rows: Float[Tensor, "samples affine"], centre: Float[Tensor, "cells affine"]) -> Int[Tensor, " samples"]:
    """The cell of each row."""
    return torch.cat([(part @ centre.T).max(1).indices for part in torch.split(rows, 4096)])


def _closeness(points: Float[Tensor, "points latent"]) -> Float[Tensor, "points affine"]:
    """What of -|z - point|^2 / 2 differs between points, as an affine function of z."""
    return torch.cat([points, -0.5 * points.square().sum(1, keepdim=True)], 1)


def _with_one(rows: Float[Tensor, "samples latent"]) -> Float[Tensor, "samples affine"]:
    """(z, 1), on which affine functions are products."""
    return torch.cat([rows, torch.ones(len(rows), 1, dtype=rows.dtype)], 1)


def _products(
    rows: Float[Tensor, "samples width"], table: Float[Tensor, "places width"], asked: Int[Tensor, "samples asked"]
) -> Float[Tensor, "samples asked"]:
    """The products of each row with its own places of the table, nothing of which is copied."""
    starts = torch.arange(0, asked.numel() + 1, asked.shape[1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        pattern = torch.sparse_csr_tensor(
            starts, asked.flatten(), torch.zeros(asked.numel()), (len(rows), len(table)), check_invariants=False
        )
        products: Tensor = torch.sparse.sampled_addmm(pattern, rows, table.T, beta=0).values().view(asked.shape)
    return products
