"""Ditto: a model of each client's own, pulled towards the global one."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from clients.training import Batch, Objective
from federation.models import ElasticFamily
from federation.models.family import Slope, written_out
from federation.tensors import Parameters, accelerator, stacked, unstacked
from federation.wire.contribution import Contribution, coverage_mean
from scenarios.baselines.contract import Answer, Trial, own_models
from scenarios.baselines.federated import Federated, Round

MU = 0.1
"""Their lambda. The authors choose among 0.1, 1 and 2; of these it is the best on the local tests of digits."""


@dataclass(frozen=True)
class Models:
    """The global model, and those that clients have of their own."""

    shared: Parameters
    own: Mapping[int, Parameters]


@dataclass(frozen=True)
class Ditto(Federated[Models]):
    """FedAvg, and beside it v_i, which minimises the client's loss + mu / 2 ||v_i - w||^2, w as it was received.

    Both are trained in every round, for the same epochs: twice FedAvg's training. Whoever is unknown, or was never
    asked, is answered by the global model. Source: Li et al. (2021), algorithm 1.
    """

    name, title = "ditto", "Ditto: own models near a global one, equal active parameters"
    mu: float = MU

    def begin(self, trial: Trial, family: ElasticFamily) -> Models:
        return Models(self.fresh(trial, family), {})

    def round(self, state: Models, now: Round) -> Models:
        total, own = Contribution(), dict(state.own)
        for cohort in now.cohorts():
            now.download(cohort, state.shared)
            total += now.total(cohort, now.train(stacked([state.shared] * len(cohort)), cohort).parameters)
            starts = stacked([own.get(client, state.shared) for client in cohort])
            near = pulled(now.objective, state.shared, self.mu, now.rate)
            tuned = now.train(starts, cohort, near, purpose="own")
            own |= zip(cohort, unstacked(tuned.parameters), strict=True)
        return Models(coverage_mean(total.everywhere(), state.shared), own)

    def answer(self, state: Models, trial: Trial, family: ElasticFamily) -> Answer:
        return own_models(family, lambda client: state.own.get(client, state.shared), trial.task)


def pulled(plain: Objective, anchor: Parameters, mu: float, rate: float) -> Objective:
    """An objective with mu / 2 ||theta - anchor||^2 added.

    Down its slopes, divided by 1 + rate * mu, a plain step is the implicit one of the pull: stable for any mu, and for
    small rate * mu the authors' own.
    """
    there = {name: tensor.to(accelerator()) for name, tensor in anchor.items()}

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Slope]]:
        losses, slopes = plain(model, batch, weights)
        total = {n: written_out(slope).add(model[n] - there[n], alpha=mu) for n, slope in slopes.items()}
        return losses, {name: slope / (1 + rate * mu) for name, slope in total.items()}

    return objective
