"""FedAdam: Adam on the server, on the mean update."""

from scenarios.baselines.fedavg import FEDAVG
from scenarios.baselines.rival import Rival
from server.aggregation import Adam

FEDADAM = Rival(
    "fedadam", "FedAdam, equal active parameters", FEDAVG.phases, {"aggregation": Adam(rate=0.01, tau=0.001).dump()}
)
"""Server learning rate 0.01, tau 0.001. Source: Reddi et al. (2021)."""
