"""SCAFFOLD: control variates that take the drift of unequal clients out of their steps."""

from federation.phases.census import Census
from federation.phases.scaffold import Scaffold
from scenarios.baselines.rival import Rival

SCAFFOLD = Rival("scaffold", "SCAFFOLD, equal active parameters", lambda rounds: (Census(), Scaffold(rounds=rounds)))
"""Source: Karimireddy et al. (2020)."""
