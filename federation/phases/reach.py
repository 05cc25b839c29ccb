"""Tells each client where its samples lie, and finds which experts these reach."""

from typing import NamedTuple

from federation.phases.phase import Kept, Phase


class Places(NamedTuple):
    """Where some samples lie: codes, relative scores of all regions, novelty, and the charts' posterior of classes."""

    latent: Kept
    scores: Kept
    novelty: Kept
    chart_logits: Kept

    @staticmethod
    def of(part: str) -> "Places":
        """Those of one part of the client's samples."""
        return Places(*(Kept(f"reach/{part}/{name}") for name in Places._fields))


TRAIN, HELD_OUT = Places.of("train"), Places.of("held_out")


class Reach(Phase):
    """Tells each client where its samples lie, and finds which experts these reach."""

    asks_all = True
    remembers = True
    needs = ("charts",)
