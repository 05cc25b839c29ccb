"""Counts samples and classes of the whole federation."""

from federation.phases.phase import Phase


class Census(Phase):
    """Counts samples and classes of the whole federation."""

    asks_all = True
    needs_region = False
    makes = ("labels",)
