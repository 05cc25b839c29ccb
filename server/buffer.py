"""Answers that began from an older model, brought up to the present one."""

from collections.abc import Callable

from federation.tensors import Parameters, corner
from federation.wire.contribution import WEIGHT, Contribution


def caught_up(
    contribution: Contribution, began: Callable[[int], Parameters], now: Callable[[int], Parameters], weight: float
) -> Contribution:
    """The same terms as if their change had been made to the model of now.

    A sum of n theta becomes the sum of n (theta_now + weight (theta - theta_began)): then every rule that turns sums
    into models adds the weighted mean of the changes. Source: FedBuff, Nguyen et al. (2022).

    Args:
        began, now: the server's model of a region, then and now.
        weight: what a change of this staleness counts.
    """
    regions = {}
    for region, sums in contribution.sums.items():
        then, here = began(region), now(region)
        regions[region] = dict(sums)
        for name in then.keys() & sums.keys():
            total = sums[name].double()
            held = sums[f"{WEIGHT}/{name}"].double()
            old, new = (model[name][corner(total.shape)].double() for model in (then, here))
            regions[region][name] = held * new + weight * (total - held * old)
    return Contribution(contribution.clients, regions)
