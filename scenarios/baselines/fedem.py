"""FedEM: every client's samples are a mixture of the same components, in proportions of its own."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from clients.training import Batch, Objective
from federation.models.family import Slope
from federation.tensors import Parameters, stacked
from federation.wire.contribution import Contribution, coverage_mean
from scenarios.baselines.federated import Round
from scenarios.baselines.mixture import Mixed, Mixture


class FedEm(Mixture):
    """E: q(z = m | x, y) proportional to pi_m exp(-loss_m). M: pi_m is the mean of q, and each component goes down its
    losses times q, FedAvg over all clients. Source: Marfoq et al. (2021), algorithm 1.

    Whoever is unknown has no labels to find its proportions by: those of the whole federation hold.
    """

    name, title = "fedem", "FedEM: a mixture of components, each of equal active parameters"

    def round(self, state: Mixed, now: Round) -> Mixed:
        totals, shares, samples = [Contribution() for _ in state.models], dict(state.shares), dict(state.samples)
        for cohort in now.cohorts():
            owed = [responsibilities(now.losses(state.models, client), state.of(client)) for client in cohort]
            shares |= {client: own.mean(0) for client, own in zip(cohort, owed, strict=True)}
            samples |= {client: len(own) for client, own in zip(cohort, owed, strict=True)}
            for m, model in enumerate(state.models):
                now.download(cohort, model)
                column = [own[:, m] for own in owed]
                trained = now.train(stacked([model] * len(cohort)), cohort, reweighted(now.objective), [column])
                totals[m] += now.total(cohort, trained.parameters)
        sums = [total.everywhere() for total in totals]
        return Mixed(list(map(coverage_mean, sums, state.models)), shares, samples)


def responsibilities(
    losses: Float[Tensor, "samples components"], shares: Float[Tensor, " components"]
) -> Float[Tensor, "samples components"]:
    """q(z = m | x, y): which component each sample is from."""
    return (shares.log() - losses).softmax(1)


def reweighted(plain: Objective) -> Objective:
    """An objective whose rows weigh as much as the last column says."""

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Slope]]:
        *columns, factors = batch
        return plain(model, columns, weights * factors)

    return objective
