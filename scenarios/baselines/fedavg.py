"""FedAvg: one model, the mean of what clients make of it."""

from federation.phases.averaging import Averaging
from federation.phases.census import Census
from scenarios.baselines.contract import total
from scenarios.baselines.rival import Rival

FEDAVG = Rival("fedavg", "FedAvg, equal active parameters", lambda rounds: (Census(), Averaging(rounds=rounds)))
"""As many parameters as one query of the world model runs. Source: McMahan et al. (2017)."""

FEDAVG_TOTAL = Rival("fedavg_total", "FedAvg, equal total parameters", FEDAVG.phases, sized=total)
"""As many parameters as the whole world model holds."""
