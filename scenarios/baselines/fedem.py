"""FedEM: every client's samples are a mixture of the same components, in proportions of its own."""

from federation.phases.census import Census
from federation.phases.fedem import Fedem
from scenarios.baselines.rival import Rival

FEDEM = Rival(
    "fedem",
    "FedEM: a mixture of components, each of equal active parameters",
    lambda rounds: (Census(), Fedem(rounds=rounds)),
)
