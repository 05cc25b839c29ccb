"""The contract of a router: which experts answer a query, and with which weight."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from federation.manifold import Atlas, Survey
from federation.rules import InputError, Rule
from federation.tensors import Parameters, shapes, single
from federation.wire.contribution import filled

LEAST_LOG_GATE = -30.0
"""Lower bound of a log gate that others share: no single sample rules a region out for its whole group."""


@dataclass(frozen=True)
class Gates:
    """Which experts answer each query, and with which weight; the weights of a query add up to one."""

    regions: Int[Tensor, "samples asked"]
    weights: Float[Tensor, "samples asked"]

    def spread(self, regions: int) -> Float[Tensor, "samples regions"]:
        """The gate of every region; zero where nobody is asked."""
        return torch.zeros(len(self.weights), regions).scatter_add(1, self.regions, self.weights)

    @staticmethod
    def even(samples: int, regions: int) -> "Gates":
        """The same say for every region."""
        return Gates(torch.arange(regions).expand(samples, -1), torch.full((samples, regions), 1 / regions))

    @staticmethod
    def alone(regions: Int[Tensor, " samples"]) -> "Gates":
        """One region for each query."""
        return Gates(regions.unsqueeze(1), torch.ones(len(regions), 1))

    @property
    def first(self) -> Int[Tensor, " samples"]:
        """The region with the largest gate."""
        return self.regions.gather(1, self.weights.argmax(1, keepdim=True)).squeeze(1)


class RoutingRule(Rule):
    """Contract: gate logits from where a sample lies. `top` experts answer each query."""

    top: int = Field(default=3, ge=1)

    @property
    def tuned(self) -> bool:
        """Whether clients tune the router's weights."""
        return False

    def survey(self, atlas: Atlas, latent: Float[Tensor, "samples latent"]) -> Survey:
        """What the rule asks the charts. One that asks only some regions has logits that look at nothing but scores."""
        return atlas.survey(latent)

    def init(self, latent: int, regions: int, draw: torch.Generator) -> dict[str, Tensor]:
        """The router's weights before tuning; empty where nothing is tuned."""
        return {}

    def with_region(self, weights: Parameters, latent: int, regions: int) -> dict[str, Tensor]:
        """The weights for one region more than `regions`: those that are there stay, and new ones are zero."""
        wanted = shapes(self.init(latent, regions + 1, torch.Generator()))
        return {name: filled(weights[name], shape) for name, shape in wanted.items()}

    def part(self, weights: Parameters, regions: Sequence[int]) -> dict[str, Tensor]:
        """The weights for some regions alone, in this order; what is said of each of them stays."""
        return dict(weights)

    def joined(
        self, weights: Parameters, other: "RoutingRule", others: Parameters, share: float
    ) -> tuple["RoutingRule", dict[str, Tensor]]:
        """One router for the regions of two, tuned apart.

        Args:
            share: of all samples, that of this one's regions.
        Raises:
            InputError: the two are of different kinds.
        """
        if self != other:
            raise InputError(f"routers {self.dump()} and {other.dump()} cannot be joined; train both by the same rule")
        return self, {}

    @abstractmethod
    def logits(
        self,
        weights: Parameters,
        latent: Float[Tensor, "clients samples latent"],
        scores: Float[Tensor, "clients samples regions"],
    ) -> Float[Tensor, "clients samples regions"]:
        """Gate logits, one router a client, from encoded samples and the atlas' scores."""

    def asked(self, atlas: Atlas) -> float:
        """How many experts answer a query, on average."""
        return float(min(self.top, atlas.regions))

    def shares(
        self, logits: Float[Tensor, "*rows regions"]
    ) -> tuple[Float[Tensor, "*rows asked"], Int[Tensor, "*rows asked"]]:
        """The gates of the `top` regions of each row, and the places of these: softmax over their logits."""
        return strongest(logits, self.top)

    def spread(self, logits: Float[Tensor, "*rows regions"]) -> Float[Tensor, "*rows regions"]:
        """The gates of all regions; zero but for the `top` ones."""
        weights, places = self.shares(logits)
        return torch.zeros_like(logits).scatter(-1, places, weights)

    def gates(
        self,
        weights: Parameters,
        latent: Float[Tensor, "samples latent"],
        survey: Survey,
        group: Int[Tensor, " samples"] | None = None,
    ) -> Gates:
        """Which experts one router asks; samples of one group share their choice."""
        logits = self.logits(single(weights), latent[None], survey.relative_scores()[None])[0]
        if group is not None:
            logits = shared(logits, group, survey.regions)
        shares, places = self.shares(logits)
        return Gates(places if survey.regions is None else survey.regions.gather(1, places), shares)


def strongest(
    logits: Float[Tensor, "*rows regions"], top: int
) -> tuple[Float[Tensor, "*rows asked"], Int[Tensor, "*rows asked"]]:
    """Softmax over the `top` largest logits of each row, and their places. Ties go to the lower region."""
    largest = logits.sort(dim=-1, descending=True, stable=True)
    return largest.values[..., :top].softmax(-1), largest.indices[..., :top]


def shared(
    logits: Float[Tensor, "samples reached"],
    group: Int[Tensor, " samples"],
    regions: Int[Tensor, "samples reached"] | None = None,
) -> Float[Tensor, "samples reached"]:
    """Each sample's log gates, and those of the others of its group, divided by the size of the group.

    So a group of many speaks as loud as the sample itself, and a group of one changes nothing.
    Args:
        regions: which regions the columns are; None: all, in order.
    """
    logs = logits.log_softmax(1).clamp_min(LEAST_LOG_GATE)
    place = torch.arange(logits.shape[1]).expand(logits.shape) if regions is None else regions
    width, size = int(place.max()) + 1 if place.numel() else 0, torch.bincount(group)
    cell = group.unsqueeze(1) * width + place
    raised = logs - LEAST_LOG_GATE
    total = torch.zeros(len(size) * width).index_add(0, cell.flatten(), raised.flatten())
    return logs + (total[cell] - raised) / size[group].unsqueeze(1)
