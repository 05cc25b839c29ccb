"""Trains a head on draws from Gaussians of features, which clients send once."""

from pydantic import Field

from federation.phases.phase import Phase


class Fedpft(Phase):
    """FedPFT: each client sends the Gaussian of each of its classes in the space of the shared encoder. From each the
    server draws as many codes as it stands for, anew in every epoch, and trains a head on them: all in one round.

    Of several encoders in question the first is taken. Source: Beitollahi et al. (2024).
    """

    asks_all = True
    needs_region = False
    trains = True
    needs = ("encoders",)

    budget: int = Field(default=10, ge=1, description="rounds whose `local.epochs` the server trains the head for")
    learning_rate: float = Field(default=0.5, gt=0, description="of the server's first step; a factor on the local one")
