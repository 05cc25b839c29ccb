"""Trains each region's expert on its clients' samples."""

from federation.phases.phase import Phase


class Experts(Phase):
    """Trains each region's expert on its clients' samples."""

    elastic = True
    by_region = True
    trains = True
    needs = ("charts",)
