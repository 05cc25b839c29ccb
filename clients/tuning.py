"""What the head's and the router's rounds share: federated training of one small network on remembered evidence."""

from collections.abc import Sequence

from clients.member import Member
from clients.model_training import weighed
from clients.training import Column, RowLosses, batches, by_autograd, train
from federation.settings import LocalTraining
from federation.tensors import count, stacked, under
from federation.wire.contribution import EVERYWHERE, Weighed
from federation.wire.records import Order


def tune(
    orders: Sequence[Order],
    cohort: Sequence[Member],
    losses: RowLosses,
    columns: Sequence[Column],
    local: LocalTraining,
) -> Weighed:
    """Each member's weighted network after local training, for the mean over the whole federation."""
    first = orders[0]
    samples, clients = [len(member.data.train) for member in cohort], [member.number for member in cohort]
    plan = batches(samples, local, first.seed, (first.phase, first.round), clients)
    starts = stacked([under("model", order.tensors) for order in orders])
    trained = train(starts, by_autograd(losses), columns, plan, local, local.rate(first.progress))
    return weighed(trained, clients, samples, [EVERYWHERE] * len(cohort), count(under("model", first.tensors)))
