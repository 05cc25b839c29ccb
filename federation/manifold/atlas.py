"""The atlas: all regions' charts as one set of Gaussians, and how the regions overlap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log, pi

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from federation.manifold.chart import Chart, ChartRule, Moments
from federation.manifold.covariance import low_rank, pooled_covariance, spherical
from federation.manifold.survey import NEVER, Survey, grouped
from federation.randomness import torch_generator
from federation.tensors import Parameters, count

FACTORS = (0.03, 0.1, 0.3, 1.0)
"""Tried on scores, which are overconfident; whoever is judged by them is judged by the one that suits it best."""

TENSORS = ("mean", "diagonal", "factor", "log_weight", "region", "label")
"""The fields of an atlas with a row for each component."""


@dataclass(frozen=True)
class Precision:
    """The inverse covariances diag(diagonal) - ways^T ways of all components, by Woodbury's identity.

    Attributes:
        log_scale: log n_c less half the log determinant of 2 pi Sigma_c.
    """

    diagonal: Float[Tensor, "components latent"]
    ways: Float[Tensor, "components rank latent"]
    log_scale: Float[Tensor, " components"]


@dataclass(frozen=True, eq=False)
class Atlas:
    """Gaussian components N(mean, diag(diagonal) + factor factor^T), each of one region and one label.

    log_weight is log n_c, so that scores are log sum_c n_c N(z; mu_c, Sigma_c). Immutable: each phase yields a new one.
    """

    regions: int
    mean: Float[Tensor, "components latent"]
    diagonal: Float[Tensor, "components latent"]
    factor: Float[Tensor, "components latent rank"]
    log_weight: Float[Tensor, " components"]
    region: Int[Tensor, " components"]
    label: Int[Tensor, " components"]

    @staticmethod
    def of(charts: Sequence[Chart], rule: ChartRule) -> "Atlas":
        """One region a chart, in order. Charts may be empty: nothing is ever routed to such a region.

        Raises:
            ValueError: no chart has a component.
        """
        entries = [(region, label, m) for region, chart in enumerate(charts) for label, m in chart.components.items()]
        if not entries:
            raise ValueError("no client had enough samples of anything to send a chart; lower charts.min_count")
        return _charted(len(charts), entries, pooled_covariance([m for _, _, m in entries]), rule)

    def with_region(self, chart: Chart, rule: ChartRule) -> "Atlas":
        """The same with one region more, under the next number; all components that are there stay bit by bit.

        The new covariances are shrunk towards the mean of those that are there.
        """
        kept = {region: region for region in range(self.regions)}
        return self.rearranged(self.regions + 1, kept, {self.regions: chart}, rule)

    def rearranged(
        self, regions: int, kept: Mapping[int, int], charts: Mapping[int, Chart], rule: ChartRule
    ) -> "Atlas":
        """Some regions under other numbers, whose components stay bit by bit, and some that are charted anew.

        The new covariances are shrunk towards the mean of all that were there.

        Args:
            regions: how many there will be.
            kept: the new number of each region that stays.
            charts: of new regions, by their number; empty ones have no component.
        """
        covariance = torch.diag_embed(self.diagonal) + self.factor @ self.factor.mT
        pooled = torch.einsum("c,cij->ij", self.log_weight.softmax(0), covariance)
        entries = [(region, label, m) for region, chart in charts.items() for label, m in chart.components.items()]
        old = self.part(tuple(kept))
        old = replace(old, regions=regions, region=torch.tensor([*kept.values()], dtype=torch.int64)[old.region])
        new = _charted(regions, entries, pooled, rule) if entries else old.part(())
        rows = {name: torch.cat([getattr(old, name), getattr(new, name)]) for name in TENSORS}
        return Atlas(regions, **rows)

    def beside(self, other: "Atlas") -> "Atlas":
        """The regions of both; those of the other are numbered after these. All components stay bit by bit."""
        moved = replace(other, region=self.regions + other.region)
        rows = {name: torch.cat([getattr(self, name), getattr(moved, name)]) for name in TENSORS}
        return Atlas(self.regions + other.regions, **rows)

    @cached_property
    def precision(self) -> Precision:
        """What densities are made of; worked out once."""
        diagonal = 1 / self.diagonal
        scaled = self.factor * diagonal.unsqueeze(-1)
        core = torch.eye(self.factor.shape[-1], dtype=torch.float64) + self.factor.transpose(1, 2) @ scaled
        root = torch.linalg.cholesky(core)
        ways = torch.linalg.solve_triangular(root, scaled.transpose(1, 2), upper=False).contiguous()
        volume = self.diagonal.log().sum(1) + 2 * root.diagonal(dim1=1, dim2=2).log().sum(1)
        return Precision(diagonal, ways, self.log_weight - 0.5 * (volume + self.mean.shape[1] * log(2 * pi)))

    def densities(self, latent: Float[Tensor, "samples latent"]) -> Float[Tensor, "samples components"]:
        """log n_c + log N(z; mu_c, Sigma_c), in float64."""
        z, inverse = latent.double(), self.precision
        along = (z @ inverse.ways.flatten(0, 1).T).view(len(z), *inverse.ways.shape[:2])
        along = along - torch.einsum("cl,crl->cr", self.mean, inverse.ways)
        pull = inverse.diagonal * self.mean
        squared = z.square() @ inverse.diagonal.T - 2 * z @ pull.T + (pull * self.mean).sum(1)
        return inverse.log_scale - 0.5 * (squared - along.square().sum(-1))

    def survey(self, latent: Float[Tensor, "samples latent"]) -> Survey:
        """All components and regions."""
        densities = self.densities(latent)
        scores = grouped(densities, self.region[None], self.regions)
        return Survey(densities, self.label[None], float(self.log_weight.logsumexp(0)), scores)

    def scores(self, latent: Float[Tensor, "samples latent"]) -> Float[Tensor, "samples regions"]:
        """s_i(z) = log sum over the components of region i; NEVER for a region without any."""
        return self.survey(latent).scores

    def relative_scores(self, latent: Float[Tensor, "samples latent"]) -> Float[Tensor, "samples regions"]:
        """Scores less the best of each row: what routers see, in float32."""
        return self.survey(latent).relative_scores()

    def posterior(
        self, latent: Float[Tensor, "samples latent"], temperature: float
    ) -> Float[Tensor, "samples regions"]:
        """softmax(T s_i(z)): the cooled posterior of the regions, a gate that nobody has tuned."""
        return (temperature * self.relative_scores(latent)).softmax(1)

    def part(self, regions: Sequence[int]) -> "Atlas":
        """The charts of some regions, which are numbered anew in this order."""
        place = {region: number for number, region in enumerate(regions)}
        kept = [component for component, region in enumerate(self.region.tolist()) if region in place]
        renumbered = torch.tensor([place[int(self.region[component])] for component in kept], dtype=torch.int64)
        rows = {name: getattr(self, name)[kept] for name in TENSORS}
        return Atlas(len(regions), **rows | {"region": renumbered})

    def label_scores(self, latent: Float[Tensor, "samples latent"], labels: int) -> Float[Tensor, "samples labels"]:
        """log sum over the components of each label, over all regions: the chart posterior, unnormalised."""
        return self.survey(latent).label_scores(labels)

    def without_chart(self, counts: Float[Tensor, " labels"]) -> tuple[int, ...]:
        """Labels of which clients have samples, though nobody had enough of them for a chart."""
        return tuple(sorted({*torch.nonzero(counts).flatten().tolist()} - {*self.label.tolist()}))

    def label_information(
        self, latent: Float[Tensor, "samples latent"], labels: Int[Tensor, " samples"], outputs: int
    ) -> Float[Tensor, " factors"]:
        """What the charts know of the samples' labels: sum of log P(label | z) / P(label), for each of FACTORS."""
        return _information(self.survey(latent).label_scores(outputs), self._weights(self.label, outputs), labels)

    def region_information(self, latent: Float[Tensor, "samples latent"], region: int) -> Float[Tensor, " factors"]:
        """The same of the region that all of these samples belong to."""
        truth = torch.full((len(latent),), region)
        return _information(self.scores(latent), self._weights(self.region, self.regions), truth)

    def _weights(self, group: Int[Tensor, " components"], groups: int) -> Float[Tensor, "1 groups"]:
        return grouped(self.log_weight[None], group[None], groups)

    def novelty(self, latent: Float[Tensor, "samples latent"]) -> Float[Tensor, " samples"]:
        """-log of the federation's whole density: high where no region knows the sample."""
        return self.survey(latent).novelty()

    def merged(self) -> "Atlas":
        """The same regions with one component each, of the same mean and covariance as all of theirs together."""
        charted = torch.tensor(sorted(set(self.region.tolist())))
        parts = [self._moments(self.region == region) for region in charted]
        mean, covariance = (torch.stack(which) for which in zip(*parts, strict=True))
        diagonal, factor = low_rank(covariance, self.factor.shape[-1])
        weight = torch.stack([self.log_weight[self.region == region].logsumexp(0) for region in charted])
        return Atlas(self.regions, mean, diagonal, factor, weight, charted, torch.zeros_like(charted))

    def _moments(self, own: Bool[Tensor, " components"]) -> tuple[Tensor, Tensor]:
        """Mean and covariance of a mixture of some components."""
        share = self.log_weight[own].softmax(0)
        mean = share @ self.mean[own]
        spread = self.mean[own] - mean
        within = torch.diag(share @ self.diagonal[own]) + torch.einsum("c,clr,cmr->lm", share, *[self.factor[own]] * 2)
        return mean, within + torch.einsum("c,cl,cm->lm", share, spread, spread)

    def overlaps(self, seed: int, draws: int = 256) -> Float[Tensor, "regions regions"]:
        """alpha_ij = E_{z in i} P(region j | z), by samples drawn from the charts themselves."""
        noise = torch_generator(seed, "atlas overlaps")
        rows = torch.zeros(self.regions, self.regions, dtype=torch.float64)
        for region in range(self.regions):
            if bool((self.region == region).any()):
                rows[region] = self.scores(self.drawn(region, draws, noise)).softmax(1).mean(0)
        return rows

    def drawn(self, region: int, draws: int, noise: torch.Generator) -> Float[Tensor, "draws latent"]:
        """Samples of a region that has components, from its charts; no data are asked."""
        members = torch.nonzero(self.region == region).flatten()
        share = self.log_weight[members].softmax(0)
        pick = members[torch.multinomial(share, draws, replacement=True, generator=noise)]
        across = torch.randn(draws, self.mean.shape[1], generator=noise, dtype=torch.float64)
        along = torch.randn(draws, self.factor.shape[2], generator=noise, dtype=torch.float64)
        drawn = self.mean[pick] + across * self.diagonal[pick].sqrt()
        return (drawn + torch.einsum("nlr,nr->nl", self.factor[pick], along)).float()

    def tensors(self) -> dict[str, Tensor]:
        """All state, for wires and files; float32 where it is real."""
        values = {name: getattr(self, name) for name in TENSORS}
        return {name: t.float() if t.is_floating_point() else t for name, t in values.items()}

    @staticmethod
    def from_tensors(regions: int, tensors: Parameters) -> "Atlas":
        """The inverse of `tensors`."""
        return Atlas(regions, **{name: t.double() if t.is_floating_point() else t for name, t in tensors.items()})

    def check(self, labels: int) -> None:
        """Whether these can be the charts of its regions.

        Args:
            labels: how many there are.
        Raises:
            ValueError: fields that do not fit each other, variances that are none, or regions or labels out of range.
        """
        rows, latent = self.mean.shape
        wanted = {"mean": (rows, latent), "diagonal": (rows, latent), "factor": (rows, latent, self.factor.shape[-1])}
        wanted |= dict.fromkeys(("log_weight", "region", "label"), (rows,))
        found = {name: tuple(getattr(self, name).shape) for name in TENSORS}
        if not rows or found != wanted:
            raise ValueError(f"the fields of its charts have the shapes {found}")
        if not bool((self.diagonal > 0).all()):
            raise ValueError("its charts have variances that are not positive")
        for name, most in (("region", self.regions), ("label", labels)):
            values = getattr(self, name)
            if values.is_floating_point() or not 0 <= int(values.min()) <= int(values.max()) < most:
                raise ValueError(f"its charts name a {name} that is none of {most}")

    @property
    def parameters(self) -> int:
        """Numbers that one query reads: all of the charts."""
        return count({name: t for name, t in self.tensors().items() if t.is_floating_point()})


def mutual(overlaps: Float[Tensor, "regions regions"]) -> Float[Tensor, "regions regions"]:
    """How alike regions are, whatever their sizes: sqrt(alpha_ij alpha_ji / (alpha_ii alpha_jj)), from `overlaps`.

    The cosine between the responsibilities w_i p_i / p and w_j p_j / p under the density p of the whole atlas: 1 where
    two regions have one density, 0 where they never meet.
    """
    own = overlaps.diagonal()
    return (overlaps * overlaps.T / (own[:, None] * own).clamp_min(1e-300)).sqrt().clamp_max(1.0)


def _charted(regions: int, entries: Sequence[tuple[int, int, Moments]], pooled: Tensor, rule: ChartRule) -> Atlas:
    """Components of regions and labels, their covariances shrunk towards the pooled one."""
    shrunk = [(m.scatter + rule.shrinkage * pooled) / (m.count + rule.shrinkage) for _, _, m in entries]
    covariance = torch.stack(shrunk)
    whole = rule.covariance == "spherical"
    diagonal, factor = spherical(covariance) if whole else low_rank(covariance, rule.rank)
    return Atlas(
        regions=regions,
        mean=torch.stack([m.mean for _, _, m in entries]),
        diagonal=diagonal,
        factor=factor,
        log_weight=torch.tensor([log(m.count) for _, _, m in entries], dtype=torch.float64),
        region=torch.tensor([region for region, _, _ in entries]),
        label=torch.tensor([label for _, label, _ in entries]),
    )


def _information(
    scores: Float[Tensor, "samples groups"], weights: Float[Tensor, "1 groups"], truth: Int[Tensor, " samples"]
) -> Float[Tensor, " factors"]:
    """sum of log P(true group | z) / P(true group) in nats; a sample whose group is not charted adds nothing."""
    known = weights[0, truth] > NEVER / 2
    before = weights.log_softmax(1)[0, truth]
    sums = []
    for factor in FACTORS:
        after = (factor * scores).log_softmax(1).gather(1, truth[:, None])[:, 0]
        sums.append(torch.where(known, after - before, 0.0).sum())
    return torch.stack(sums)
