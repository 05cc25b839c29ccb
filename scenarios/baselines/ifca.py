"""IFCA: clusters of clients, each with a model; a client joins the cluster whose model fits it best."""

from federation.phases.census import Census
from federation.phases.ifca import Ifca
from scenarios.baselines.rival import Rival

IFCA = Rival(
    "ifca",
    "IFCA: clustered clients, each cluster of equal active parameters",
    lambda rounds: (Census(), Ifca(rounds=rounds)),
)
