"""FjORD: like HeteroFL, and in each step a smaller slice of a device's own learns what that one says."""

from clients.distillation import distillation_cost
from clients.model_training import supervised
from federation.models import Size
from federation.models.sizes import turns
from federation.tensors import Parameters
from scenarios.baselines.contract import training_flops
from scenarios.baselines.federated import Round
from scenarios.baselines.heterofl import HeteroFl


class Fjord(HeteroFl):
    """HeteroFL with ordered dropout and self-distillation. Source: Horvath et al. (2021)."""

    name, title = "fjord", "FjORD: nested slices of one model by ordered dropout, equal active parameters"

    def trained(self, now: Round, starts: Parameters, cohort: list[int], size: Size) -> Parameters:
        scenario = now.trial.scenario
        inner = scenario.sizes.within(size)
        smaller = turns(size, inner, scenario.seed, "fit", now.number)
        trained = now.train(starts, cohort, supervised(now.family, now.task, smaller=smaller), size=size)
        now.account.flops += training_flops(
            distillation_cost(now.family, now.task, size, inner) * int(trained.visited.sum())
        )
        return trained.parameters
