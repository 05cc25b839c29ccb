"""Tells each client which of its samples lie in which region, where they may lie in several."""

from federation.phases.phase import RESPONSIBILITY, Kept, Phase

TRAIN, HELD_OUT = Kept(f"{RESPONSIBILITY}/train"), Kept(f"{RESPONSIBILITY}/held_out")
"""The region of each of a client's samples: of those to train on, and of those held out."""


class Responsibility(Phase):
    """Tells each client which of its samples lie in which region, where they may lie in several."""

    asks_all = True
    remembers = True
    needs = ("charts",)
