"""Fits the shared encoder, or all in question, from moments of the clients' inputs."""

from federation.phases.phase import Phase


class Encoder(Phase):
    """Fits the shared encoder, or all in question, from moments of the clients' inputs."""

    asks_all = True
    needs_region = False
    foundation = True
    makes = ("encoders",)
