"""IFCA: clusters of clients, each with a model; a client joins the cluster whose model fits it best."""

import torch

from federation.tensors import stacked
from federation.wire.contribution import Contribution, coverage_mean
from scenarios.baselines.federated import Round
from scenarios.baselines.mixture import Mixed, Mixture


class Ifca(Mixture):
    """Each round a client receives all models, trains the one with the least loss on its training samples, and sends
    it; each cluster takes the mean of its own. Source: Ghosh et al. (2020), with averaged models.

    Whoever is unknown has no labels to choose by. The largest cluster alone would know nothing of the others' samples,
    so all clusters answer, each with the share of the federation's samples that are its own: the rival's better choice.
    """

    name, title = "ifca", "IFCA: clustered clients, each cluster of equal active parameters"

    def round(self, state: Mixed, now: Round) -> Mixed:
        total, shares, samples = Contribution(), dict(state.shares), dict(state.samples)
        for cohort in now.cohorts():
            for model in state.models:
                now.download(cohort, model)
            chosen = [int(now.losses(state.models, client).mean(0).argmin()) for client in cohort]
            trained = now.train(stacked([state.models[cluster] for cluster in chosen]), cohort)
            total += now.total(cohort, trained.parameters, chosen)
            shares |= zip(cohort, torch.eye(self.components)[chosen], strict=True)
            samples |= {client: len(now.samples(client)) for client in cohort}
        sums = [total.sums.get(cluster, {}) for cluster in range(self.components)]
        return Mixed(list(map(coverage_mean, sums, state.models)), shares, samples)
