"""FedRolex: like HeteroFL, but the window of units that small devices train rolls on by one a round."""

from federation.tensors import Parameters
from scenarios.baselines.federated import Round
from scenarios.baselines.heterofl import HeteroFl


class FedRolex(HeteroFl):
    """HeteroFL on a model whose units are turned by one more each round. Source: Alam et al. (2022)."""

    name, title = "fedrolex", "FedRolex: rolling slices of one model, equal active parameters"

    def round(self, state: Parameters, now: Round) -> Parameters:
        turned = now.family.turned(state, now.task, now.number)
        return now.family.turned(super().round(turned, now), now.task, -now.number)
