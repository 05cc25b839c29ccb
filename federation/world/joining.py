"""Two parts of one atlas, trained apart, as one world model: nothing is trained, and no data are asked.

Both parts must have been charted in the same encoder space and have begun from the same prior. Their charts then stand
side by side, and Bayes' rule says which part a query belongs to. What was tuned within one part stays what it says of
that part's regions; what both have tuned of the same thing becomes their mean, weighed by samples. Heads that are made
of sums alone become the head of the sums of both: the one that all clients together would have made.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import exp, log

import torch

from federation.learning.head import Head
from federation.learning.least_squares import refitted
from federation.rules import InputError
from federation.tensors import Parameters
from federation.wire.contribution import EVERYWHERE, Contribution
from federation.world.context import Context
from federation.world.design import NOTHING_NOVEL, Design
from federation.world_model import WorldModel

SAME = ("task", "family", "encoder", "chart_temperature", "ridge", "readout", "whole_regions")
"""What the designs of two parts must have in common."""


def joined(one: WorldModel, other: WorldModel) -> WorldModel:
    """All regions and experts of both; those of `other` are numbered after those of `one`, and its clients, too.

    Raises:
        InputError: the parts do not share their design, their encoder and their prior.
    """
    _check(one, other)
    atlas, first = one.atlas.beside(other.atlas), one.design.regions
    share = exp(float(one.atlas.log_weight.logsumexp(0) - atlas.log_weight.logsumexp(0)))
    network, head, sums = _head(one, other, share)
    uncharted = tuple(sorted({*one.design.uncharted, *other.design.uncharted} - {*atlas.label.tolist()}))
    rule, router = one.design.router.joined(one.router, other.design.router, other.router, share)
    return replace(
        one,
        design=_design(one.design, other.design, share).model_copy(
            update={"router": rule, "head": network, "uncharted": uncharted}
        ),
        atlas=atlas,
        experts={**one.experts, **{first + region: expert for region, expert in other.experts.items()}},
        router=router,
        head=head,
        head_sums=sums,
    )


def _head(one: WorldModel, other: WorldModel, share: float) -> tuple[Head, Parameters, Parameters]:
    """The head of both: its network, its weights, and the sums that it is made of.

    A part whose head nobody has trained yet has nothing to add to the sums of the other.
    """
    network = one.design.head
    if not one.head:
        return network, {}, {}
    alike = all(torch.equal(t, other.head[name]) for name, t in one.head.items() if not name.startswith("head."))
    if alike and network == other.design.head and (one.head_sums or other.head_sums):
        parts = [Contribution((n,), {EVERYWHERE: part.head_sums}) for n, part in enumerate((one, other))]
        sums = Contribution.total(parts).everywhere()
        return network, refitted(one.head, sums, one.design.ridge, one.design.task), sums
    return network.beside(other.design.head), network.mean_of(one.head, other.head, share), {}


def _check(one: WorldModel, other: WorldModel) -> None:
    apart = [name for name in SAME if getattr(one.design, name) != getattr(other.design, name)]
    apart += ["features of the head"] if one.design.head.features != other.design.head.features else []
    weights = {"encoder": (one.encoder.weights, other.encoder.weights), "prior": (one.prior, other.prior)}
    apart += [f"{name}'s weights" for name, (mine, theirs) in weights.items() if not _equal(mine, theirs)]
    if apart:
        raise InputError(
            f"two parts with different {' and '.join(apart)} cannot be joined; train both from one start (server.app)"
        )


def _equal(mine: Parameters, theirs: Parameters) -> bool:
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def _design(one: Design, other: Design, share: float) -> Design:
    """What the phases of both have decided, by their shares of the samples.

    A sample is as novel as before if it is so to both parts; each of them alone is less of the whole.
    """

    def mixed(mine: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
        return {p: share * mine.get(p, 0.0) + (1 - share) * theirs.get(p, 0.0) for p in {**mine, **theirs}}

    novel = max(one.novelty_threshold - log(share), other.novelty_threshold - log(1 - share))
    labels = [share * mine + (1 - share) * theirs for mine, theirs in zip(one.labels, other.labels, strict=True)]
    return one.model_copy(
        update={
            "regions": one.regions + other.regions,
            "sizes": tuple(part.size_of(region) for part in (one, other) for region in range(part.regions)),
            "region_of_client": (*one.region_of_client, *(one.regions + r for r in other.region_of_client)),
            "composition": mixed(one.composition, other.composition),
            "without_experts": mixed(one.without_experts, other.without_experts),
            "novelty_threshold": min(novel, NOTHING_NOVEL),
            "labels": tuple(labels),
            "calibration": one.calibration.between(other.calibration, share),
            "context": _context(one.context, other.context, share),
        }
    )


def _context(one: Context, other: Context, share: float) -> Context:
    """What both make of it, and the more careful of two priors."""
    both = Context(
        router=one.router and other.router,
        prior=None if one.prior is None or other.prior is None else max(one.prior, other.prior),
        calibration=one.calibration.between(other.calibration, share),
    )
    return both if both.used else Context()
