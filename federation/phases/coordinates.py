"""Gives each region's expert the coordinates of its chart, and the linear map that it begins from."""

from federation.phases.phase import Phase


class Coordinates(Phase):
    """Gives each region's expert the coordinates of its chart, and the linear map that it begins from."""

    asks_all = True
    by_region = True
    needs = ("charts",)
