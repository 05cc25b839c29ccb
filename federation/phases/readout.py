"""Makes a last layer on fixed features for each region by least squares."""

from federation.phases.phase import Phase


class Readout(Phase):
    """Makes a last layer on fixed features for each region by least squares."""

    asks_all = True
    by_region = True
    trains = True
    needs = ("charts",)
    makes = ("readouts",)
