"""Makes a region of what no region knows, if that is enough."""

from federation.phases.phase import Phase


class Spawn(Phase):
    """Makes a region of what no region knows, if that is enough."""

    asks_all = True
    needs_region = False
    remembers = True
    needs = ("novelty",)
