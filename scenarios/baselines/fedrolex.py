"""FedRolex: like HeteroFL, but the window of units that small devices train moves on by one a round."""

from federation.phases.averaging import Averaging
from federation.phases.census import Census
from scenarios.baselines.rival import Rival

FEDROLEX = Rival(
    "fedrolex",
    "FedRolex: rolling slices of one model, equal active parameters",
    lambda rounds: (Census(), Averaging(rounds=rounds, rolling=True)),
    tiers=True,
)
"""Source: Alam et al. (2022)."""
