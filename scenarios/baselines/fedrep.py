"""FedRep: one representation for all, a head of each client's own."""

from federation.phases.census import Census
from federation.phases.fedrep import Fedrep
from scenarios.baselines.rival import Rival

FEDREP = Rival(
    "fedrep",
    "FedRep: own heads on a shared body, equal active parameters",
    lambda rounds: (Census(), Fedrep(rounds=rounds)),
)
