"""Trains one model for all clients: FedAvg, and the methods that differ from it by a setting."""

from typing import ClassVar

from pydantic import Field

from federation.phases.phase import GlobalTraining


class Averaging(GlobalTraining):
    """Each client trains the global model on its own samples; the server aggregates the models by samples.

    That is FedAvg of McMahan et al. (2017). A server rule of `Scenario.aggregation` makes it FedAdam or FedAvgM, sizes
    of `Scenario.sizes` HeteroFL.
    """

    elastic: ClassVar[bool] = True

    proximal: float = Field(
        default=0.0, ge=0, description="mu of FedProx: mu / 2 ||theta - theta_global||^2 beside the loss"
    )
    rolling: bool = Field(
        default=False, description="FedRolex: the units that small devices train move on by one a round"
    )
    distilled: bool = Field(
        default=False, description="FjORD: a device's smaller sizes learn, in turns, what its own size says"
    )
