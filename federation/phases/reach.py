"""Tells each client where its samples lie, and finds which experts these reach."""

from federation.phases.phase import Phase


class Reach(Phase):
    """Tells each client where its samples lie, and finds which experts these reach."""

    asks_all = True
    remembers = True
    needs = ("charts",)
