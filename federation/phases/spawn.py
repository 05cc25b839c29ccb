"""Makes a region of what no region knows, if that is enough."""

from federation.phases.phase import Kept, Phase

NOVEL = Kept("spawn/novel")
"""The rows of a client's samples to train on that no region knows."""


class Spawn(Phase):
    """Makes a region of what no region knows, if that is enough."""

    asks_all = True
    needs_region = False
    remembers = True
    needs = ("novelty",)
