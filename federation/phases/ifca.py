"""Trains a model for each cluster of clients; a client joins the cluster whose model fits it best."""

from typing import ClassVar

from pydantic import Field

from federation.phases.phase import GlobalTraining


class Ifca(GlobalTraining):
    """IFCA with averaged models. Source: Ghosh et al. (2020)."""

    proposes: ClassVar[bool] = True

    components: int = Field(default=3, ge=1, description="models; three, as in the experiments of FedEM")
