"""Trains a model for each client, alone."""

from typing import ClassVar

from federation.phases.phase import GlobalTraining


class Local(GlobalTraining):
    """Every client trains its own model on its own samples, in every round. No model is sent."""

    asks_all: ClassVar[bool] = True
