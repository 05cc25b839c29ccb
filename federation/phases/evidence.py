"""Lets each client download the experts that it reaches, once, and remember their predictions."""

from federation.phases.phase import Phase


class Evidence(Phase):
    """Lets each client download the experts that it reaches, once, and remember their predictions."""

    asks_all = True
    remembers = True
    recalls = ("reach",)
