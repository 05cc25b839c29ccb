"""Ditto: a model of each client's own, pulled towards the global one."""

from federation.phases.census import Census
from federation.phases.ditto import Ditto
from scenarios.baselines.rival import Rival

DITTO = Rival(
    "ditto",
    "Ditto: own models near a global one, equal active parameters",
    lambda rounds: (Census(), Ditto(rounds=rounds)),
)
