"""A site leaves: its region is taken out of a finished world model."""

from pathlib import Path

from federation.rules import InputError
from federation.world.forgetting import without_client, without_regions
from federation.world_model import WorldModel
from scenarios.runs.folder import RunFolder, check_out

STAYS = "prior, encoder, head and what all gates share were trained on its samples too: train again to be rid of these"


def forgotten(run: Path, out: Path, client: int | None, region: int | None) -> str:
    """Write the world model that is left into a new folder; says what has gone and what has not.

    Raises:
        InputError: no world model, not exactly one of client and region, or one that cannot be taken out.
    """
    check_out(out)
    if client is not None and region is None:
        world = WorldModel.load(run)
        left, what = without_client(world, client), f"region of client {client}"
    elif region is not None and client is None:
        world = WorldModel.load(run)
        left, what = without_regions(world, [region]), f"region {region}"
    else:
        raise InputError("expected either --client K or --region K, which of them shall be forgotten")
    folder = RunFolder.create(out, "world")
    left.save(folder.path)
    return f"{what}: expert, charts and gate are gone, {left.design.regions} regions stay in {out}; {STAYS}"
