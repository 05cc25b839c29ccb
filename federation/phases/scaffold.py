"""Trains one model for all clients with control variates."""

from typing import ClassVar

from federation.phases.phase import GlobalTraining


class Scaffold(GlobalTraining):
    """SCAFFOLD: each local step goes down its gradient - c_i + c. Source: Karimireddy et al. (2020)."""

    proposes: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("labels",)
