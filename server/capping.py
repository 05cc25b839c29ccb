"""No deployed client owns a sum: what it sends is scaled down before it is added, whatever it says and sends."""

import logging
from collections.abc import Mapping, Sequence
from math import hypot, inf
from statistics import median

import torch

from federation.models.family import FULL
from federation.wire.contribution import Contribution
from server.bounds import MOST, declared
from server.phases import side
from server.phases.contract import Now
from server.validation import CENSUS, counted

LOG = logging.getLogger("manifold")
SAMPLES = "samples"


def capped(replies: Sequence[Contribution], now: Now, samples: Mapping[int, float]) -> list[Contribution]:
    """The replies of one round, none of which counts more than `weight_cap` times what the median one counts.

    What a reply counts is its client's samples, by the census; the norm of its sums that samples do not bound, such as
    weighted models, moments and products; and how far its votes lie apart. All its sums are scaled by one factor, so
    that its means, covariances and losses a sample stay what they are. Where nobody is beyond the cap nothing changes.

    Args:
        replies: of one client each.
        samples: that the census of each client told.
    """
    sizes = [_sizes(reply, now, samples) for reply in replies]
    usual = {name: median(own[name] for own in sizes) for name in (sizes[0] if sizes else ())}
    if samples:
        usual[SAMPLES] = median(samples.values())
    most = {name: now.scenario.weight_cap * size or inf for name, size in usual.items()}
    factors = [min([1.0, *(most[name] / size for name, size in own.items() if size)]) for own in sizes]
    for reply, own, factor in zip(replies, sizes, factors, strict=True):
        if factor < 1 and now.step.phase.name == CENSUS:
            told = f"client {reply.clients[0]} tells of {own[SAMPLES]:g} samples, and counts as {most[SAMPLES]:g}"
            LOG.warning("%s: %s, by weight_cap=%g", now.step, told, now.scenario.weight_cap)
    return [reply.scaled(factor) for reply, factor in zip(replies, factors, strict=True)]


def _sizes(reply: Contribution, now: Now, samples: Mapping[int, float]) -> dict[str, float]:
    """What a reply counts; a client that no census knows has as many samples as the reply speaks of."""
    told = samples.get(reply.clients[0]) or max(counted(reply, now).values(), default=0.0)
    norm, apart = 0.0, 0.0
    for region, sums in reply.sums.items():
        for name, asked in side(now.step.phase).answer(now, region, FULL).items():
            if declared(asked).least == -MOST:
                norm = hypot(norm, float(torch.linalg.vector_norm(sums[name], dtype=torch.float64)))
            elif declared(asked).votes:
                apart = max(apart, float(sums[name].max() - sums[name].min()))
    return {SAMPLES: told, "norm": norm, "votes": apart}
