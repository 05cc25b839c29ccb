"""Tunes the gate, the experts being fixed."""

from federation.phases.evidence import LIKELIHOODS
from federation.phases.phase import Phase
from federation.phases.reach import TRAIN


class Router(Phase):
    """Tunes the gate, the experts being fixed."""

    trains = True
    reads = (TRAIN.latent, TRAIN.scores, LIKELIHOODS)
