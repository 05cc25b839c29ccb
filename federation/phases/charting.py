"""Charts each client's samples in encoder space, and forms regions from the charts."""

from federation.phases.phase import Phase


class Charting(Phase):
    """Charts each client's samples in encoder space, and forms regions from the charts."""

    asks_all = True
    needs_region = False
    needs = ("encoders",)
    makes = ("charts",)
