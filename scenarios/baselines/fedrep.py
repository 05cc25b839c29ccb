"""FedRep: one representation for all, a head of each client's own."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from clients.training import Batch, Objective
from federation.models import ElasticFamily
from federation.models.family import Slope
from federation.tensors import Parameters, stacked, unstacked
from federation.wire.contribution import Contribution, coverage_mean
from scenarios.baselines.contract import Answer, Trial, own_models
from scenarios.baselines.federated import Federated, Round

HEAD = ("head.weight", "head.bias")
"""The last layer, as all families call it."""


@dataclass(frozen=True)
class Headed:
    """The global model, whose head is the clients' mean, and the heads that clients have of their own."""

    shared: Parameters
    heads: Mapping[int, Parameters]


@dataclass(frozen=True)
class FedRep(Federated[Headed]):
    """In each round a client trains its head on the representation that it receives, then the representation under it.

    Each is trained for the scenario's epochs: twice FedAvg's training. A new client of the paper trains a head on
    labelled samples of its own. Whoever is unknown here has none, so the mean of the clients' heads answers; they send
    them for that alone. Source: Collins et al. (2021).
    """

    name, title = "fedrep", "FedRep: own heads on a shared body, equal active parameters"
    personal: tuple[str, ...] = HEAD

    def begin(self, trial: Trial, family: ElasticFamily) -> Headed:
        return Headed(self.fresh(trial, family), {})

    def round(self, state: Headed, now: Round) -> Headed:
        total, heads, body = Contribution(), dict(state.heads), [n for n in state.shared if n not in self.personal]
        head_alone, body_alone = (only(now.objective, names) for names in (self.personal, body))
        for cohort in now.cohorts():
            now.download(cohort, {name: state.shared[name] for name in body})
            models: Parameters = stacked([{**state.shared, **heads.get(client, {})} for client in cohort])
            if self.personal:
                models = now.train(models, cohort, head_alone, purpose="head").parameters
                own = unstacked({name: models[name] for name in self.personal})
                heads |= zip(cohort, own, strict=True)
            total += now.total(cohort, now.train(models, cohort, body_alone).parameters)
        return Headed(coverage_mean(total.everywhere(), state.shared), heads)

    def answer(self, state: Headed, trial: Trial, family: ElasticFamily) -> Answer:
        return own_models(family, lambda client: {**state.shared, **state.heads.get(client, {})}, trial.task)


def only(plain: Objective, names: tuple[str, ...] | list[str]) -> Objective:
    """An objective of some of the tensors; the others rest."""

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Slope]]:
        losses, slopes = plain(model, batch, weights)
        return losses, {name: slopes[name] for name in names}

    return objective
