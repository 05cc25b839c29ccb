"""Chooses, on held-out samples, which parts answer together and how strong."""

from federation.phases.evidence import DOWNLOADED, EXPERTS, GENERALIST
from federation.phases.phase import Phase
from federation.phases.reach import HELD_OUT


class Composition(Phase):
    """Chooses, on held-out samples, which parts answer together and how strong."""

    asks_all = True
    needs = ("labels",)
    reads = (HELD_OUT.latent, HELD_OUT.scores, HELD_OUT.chart_logits, DOWNLOADED, EXPERTS, GENERALIST)
    makes = ("composition",)
