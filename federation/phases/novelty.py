"""Finds, on held-out samples, how far regions reach, how sure answers are, and what context is worth."""

from federation.phases.composition import Composition
from federation.phases.phase import Phase
from federation.phases.reach import HELD_OUT, TRAIN


class Novelty(Phase):
    """Finds, on held-out samples, how far regions reach, how sure answers are, and what context is worth."""

    asks_all = True
    needs = ("composition",)
    reads = (*Composition.reads, HELD_OUT.novelty, TRAIN.latent, TRAIN.scores)
    makes = ("novelty",)
