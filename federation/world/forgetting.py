"""A world model without some of its regions: nothing is trained, and no data are asked.

The experts, charts and gates of the others stay bit for bit, and so do their answers wherever the forgotten regions had
no say. What all regions have in common stays, too: prior, encoder, head, what the router's rows share, the weights of
the parts, the calibrations, the shares of the classes, and the little by which each chart was drawn to the mean of all.
It was made of sums over all clients, out of which nobody can take one: only training again without it can.
"""

from collections.abc import Collection
from dataclasses import replace

from federation.rules import InputError
from federation.world.design import NOTHING_NOVEL, Design
from federation.world_model import WorldModel


def without_client(world: WorldModel, client: int) -> WorldModel:
    """The world model without the region of a client; the clients after it are counted one less.

    Raises:
        InputError: there is no such client, or its region is also others': there its samples are in the sums of all.
    """
    homes = world.design.region_of_client
    if not 0 <= client < len(homes):
        raise InputError(f"client {client} of a world model of {len(homes)} clients; they are counted from 0")
    if others := [other for other, home in enumerate(homes) if home == homes[client] and other != client]:
        raise InputError(
            f"client {client} shares region {homes[client]} with {', '.join(map(str, others))}: all are in one sum; "
            f"forget the whole region by --region {homes[client]}, or train again without the client"
        )
    return without_regions(world, [homes[client]])


def without_regions(world: WorldModel, regions: Collection[int]) -> WorldModel:
    """The world model without some regions and their clients; the others are numbered anew, in their order.

    Raises:
        InputError: there is no such region, or none with a chart would be left.
    """
    if unknown := sorted(set(regions) - set(range(world.design.regions))):
        raise InputError(f"region {unknown[0]} of a world model of {world.design.regions}; they are counted from 0")
    kept = [region for region in range(world.design.regions) if region not in regions]
    if not set(kept) & set(world.atlas.region.tolist()):
        raise InputError("no region with a chart would be left; delete the world model instead")
    atlas = world.atlas.part(kept)
    lighter = float(atlas.log_weight.logsumexp(0) - world.atlas.log_weight.logsumexp(0))
    return replace(
        world,
        design=_design(world.design, kept, lighter),
        atlas=atlas,
        experts={number: world.experts[region] for number, region in enumerate(kept) if region in world.experts},
        router=world.design.router.part(world.router, kept),
    )


def _design(design: Design, kept: list[int], lighter: float) -> Design:
    """Novelty is less by what the atlas has become lighter; so is its threshold, and what was known stays known."""
    place, threshold = {region: number for number, region in enumerate(kept)}, design.novelty_threshold
    return design.model_copy(
        update={
            "regions": len(kept),
            "sizes": tuple(design.sizes[region] for region in kept) if design.sizes else (),
            "region_of_client": tuple(place[home] for home in design.region_of_client if home in place),
            "novelty_threshold": threshold if threshold == NOTHING_NOVEL else threshold + lighter,
        }
    )
