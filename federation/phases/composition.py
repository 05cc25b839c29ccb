"""Chooses, on held-out samples, which parts answer together and how strong."""

from federation.phases.phase import Phase


class Composition(Phase):
    """Chooses, on held-out samples, which parts answer together and how strong."""

    asks_all = True
    needs = ("labels",)
    recalls = ("reach", "evidence")
    makes = ("composition",)
