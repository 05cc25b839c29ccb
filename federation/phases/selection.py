"""Takes a region's readout in place of its expert where that is more often right."""

from federation.phases.phase import Phase


class Selection(Phase):
    """Takes a region's readout in place of its expert where that is more often right."""

    asks_all = True
    by_region = True
    needs = ("readouts",)
