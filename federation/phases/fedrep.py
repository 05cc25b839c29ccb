"""Trains one representation for all clients, and a head for each."""

from typing import ClassVar

from federation.phases.phase import GlobalTraining
from federation.rules import Several


class Fedrep(GlobalTraining):
    """FedRep: a client trains its own head on the representation that it receives, then the representation under it.

    Source: Collins et al. (2021).
    """

    remembers: ClassVar[bool] = True

    personal: Several[str] = ("head.weight", "head.bias")
    """The tensors that stay with the client: the last layer, as all families call it."""
