"""Trains one model for all clients, and beside it a model for each."""

from pydantic import Field

from federation.phases.phase import GlobalTraining


class Ditto(GlobalTraining):
    """Ditto: FedAvg, and for each client a model v_i that minimises its loss + mu / 2 ||v_i - w||^2.

    w is the global model. Both are trained in every round, for the same epochs: twice FedAvg's training.
    Source: Li et al. (2021), algorithm 1.
    """

    mu: float = Field(
        default=0.1, ge=0, description="their lambda; of the authors' 0.1, 1 and 2 the best on the clients of digits"
    )
