"""Trains the foundation prior, the model from which all experts begin."""

from federation.phases.phase import Phase


class Prior(Phase):
    """Trains the foundation prior, the model from which all experts begin."""

    needs_region = False
    elastic = True
    trains = True
    foundation = True
