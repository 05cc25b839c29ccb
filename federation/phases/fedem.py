"""Trains models of which each client has shares of its own."""

from typing import ClassVar

from pydantic import Field

from federation.phases.phase import GlobalTraining


class Fedem(GlobalTraining):
    """FedEM: each client's samples are a mixture of the same components. Source: Marfoq et al. (2021), algorithm 1."""

    proposes: ClassVar[bool] = True

    components: int = Field(default=3, ge=1, description="models; three, as in the experiments of FedEM")
