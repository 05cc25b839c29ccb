"""FedProx: a pull towards the global model in every local step."""

from federation.phases.averaging import Averaging
from federation.phases.census import Census
from scenarios.baselines.rival import Rival

MU = 0.01

FEDPROX = Rival(
    "fedprox", "FedProx, equal active parameters", lambda rounds: (Census(), Averaging(rounds=rounds, proximal=MU))
)
"""FedAvg with mu / 2 ||theta - theta_global||^2 in the local loss. Source: Li et al. (2020)."""
