"""HeteroFL: every device trains the leading units of one model, as many as it can."""

from federation.models import ElasticFamily, Size
from federation.models.family import FULL
from federation.tensors import Parameters, stacked
from federation.wire.contribution import Contribution, coverage_mean
from scenarios.baselines.contract import Answer, Trial, single_model
from scenarios.baselines.federated import Federated, Round


class HeteroFl(Federated[Parameters]):
    """The mean of nested slices, of each coordinate over the clients that hold it. Source: Diao et al. (2021).

    The families have no normalisation layers, so its static ones and its scaler have no place. Its masked loss, in
    which a client's classes alone compete, is left out to its favour: on digits it costs more than ten points.
    """

    name, title = "heterofl", "HeteroFL: nested slices of one model, equal active parameters"

    def absent(self, trial: Trial) -> str:
        alike = set(trial.scenario.sizes.sizes) == {FULL}
        return "every device trains the whole model, as in fedavg; set sizes.kind=tiers" if alike else ""

    def begin(self, trial: Trial, family: ElasticFamily) -> Parameters:
        return self.fresh(trial, family)

    def round(self, state: Parameters, now: Round) -> Parameters:
        sizes, total = now.trial.scenario.sizes, Contribution()
        for cohort in now.cohorts(lambda client: sizes.of(client, now.trial.scenario.seed)):
            size = sizes.of(cohort[0], now.trial.scenario.seed)
            part = now.family.slice(state, now.task, size)
            now.download(cohort, part)
            total += now.total(cohort, self.trained(now, stacked([part] * len(cohort)), cohort, size))
        return coverage_mean(total.everywhere(), state)

    def trained(self, now: Round, starts: Parameters, cohort: list[int], size: Size) -> Parameters:
        """The models of clients of a size after local training."""
        return now.train(starts, cohort, size=size).parameters

    def answer(self, state: Parameters, trial: Trial, family: ElasticFamily) -> Answer:
        return single_model(family, state, trial.task)
