"""Trains the expert of the spawned region."""

from federation.phases.phase import Phase


class Growth(Phase):
    """Trains the expert of the spawned region."""

    elastic = True
    trains = True
    recalls = ("spawn",)
