"""Tunes the head, the world without experts."""

from federation.phases.phase import Phase


class Head(Phase):
    """Tunes the head, the world without experts."""

    trains = True
    needs = ("labels",)
    recalls = ("reach", "evidence")
