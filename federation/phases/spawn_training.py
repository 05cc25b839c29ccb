"""Trains the expert of the spawned region."""

from federation.phases.phase import Phase
from federation.phases.spawn import NOVEL


class SpawnTraining(Phase):
    """Trains the expert of the spawned region."""

    elastic = True
    trains = True
    reads = (NOVEL,)
