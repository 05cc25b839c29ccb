"""Finds, on held-out samples, how far regions reach, how sure answers are, and what context is worth."""

from federation.phases.phase import Phase


class Novelty(Phase):
    """Finds, on held-out samples, how far regions reach, how sure answers are, and what context is worth."""

    asks_all = True
    needs = ("composition",)
    recalls = ("reach", "evidence")
    makes = ("novelty",)
