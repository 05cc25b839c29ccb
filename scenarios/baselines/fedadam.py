"""FedAdam by Flower's own strategy: Adam on the server, on the mean update."""

from flwr.serverapp.strategy import FedAdam as FlowerFedAdam
from flwr.serverapp.strategy import FedAvg as FlowerFedAvg

from scenarios.baselines.contract import Trial
from scenarios.baselines.fedavg import FedAvg, sampling

ETA, TAU = 0.01, 0.001


class FedAdam(FedAvg):
    """Server learning rate 0.01, tau 0.001. Source: Reddi et al. (2021)."""

    name, title = "fedadam", "FedAdam, equal active parameters"

    def strategy(self, trial: Trial) -> FlowerFedAvg:
        return FlowerFedAdam(**sampling(trial), eta=ETA, tau=TAU)
