"""Tunes the head, the world without experts."""

from federation.phases.phase import Phase
from federation.phases.reach import TRAIN


class Head(Phase):
    """Tunes the head, the world without experts."""

    trains = True
    needs = ("labels",)
    reads = (TRAIN.latent, TRAIN.chart_logits)
