"""FedProx by Flower's own strategy: a pull towards the global model in every local step."""

from flwr.serverapp.strategy import FedAvg as FlowerFedAvg
from flwr.serverapp.strategy import FedProx as FlowerFedProx

from scenarios.baselines.contract import Trial
from scenarios.baselines.fedavg import FedAvg, sampling

MU = 0.01


class FedProx(FedAvg):
    """FedAvg with mu / 2 ||theta - theta_global||^2 in the local loss. Source: Li et al. (2020)."""

    name, title = "fedprox", "FedProx, equal active parameters"

    def strategy(self, trial: Trial) -> FlowerFedAvg:
        return FlowerFedProx(**sampling(trial), proximal_mu=MU)
