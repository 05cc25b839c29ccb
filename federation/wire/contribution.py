"""The sum that a client sends, and the contract of the rules that turn a sum into the next model.

Everything that a client sends is a sum, kept apart by region: of weighted parameters, of moments, of metric
numerators, of histograms. Sums commute, so workers may add them up on the way, in any tree.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from federation.rules import Rule
from federation.tensors import Parameters, corner, nbytes, weighted_sum

EVERYWHERE = -1
"""The region under which sums that concern the whole federation are kept."""

LARGEST = 1e6
"""Bound of a model's weights, far beyond any that were ever of use."""

WEIGHT = "weight"
"""Prefix of the sums of weights, one beside each sum of weighted parameters: a number, or one for each coordinate."""


@dataclass(frozen=True)
class Contribution:
    """Sums by region and name, with the clients whose sums they hold.

    `clients` is sorted and holds no client twice. Adding is associative and commutative up to rounding (sums of
    floating point are kept in float64), and `Contribution()` is zero.
    """

    clients: tuple[int, ...] = ()
    sums: Mapping[int, Parameters] = field(default_factory=dict)

    def __add__(self, other: "Contribution") -> "Contribution":
        twice = set(self.clients) & set(other.clients)
        if twice:
            raise ValueError(f"client {min(twice)} contributed twice to one sum; count each reply once")
        regions = {**{r: dict(s) for r, s in self.sums.items()}}
        for region, tensors in other.sums.items():
            regions[region] = _added(regions[region], tensors) if region in regions else dict(tensors)
        return Contribution(tuple(sorted(self.clients + other.clients)), regions)

    @staticmethod
    def total(parts: Iterable["Contribution"]) -> "Contribution":
        """The sum of all parts."""
        whole = Contribution()
        for part in parts:
            whole = whole + part
        return whole

    def scaled(self, factor: float) -> "Contribution":
        """As if so many times the samples had been added up."""
        if factor == 1:
            return self
        return Contribution(
            self.clients, {r: {name: t.double() * factor for name, t in sums.items()} for r, sums in self.sums.items()}
        )

    def finite(self) -> bool:
        """Whether no sum holds NaN or infinity."""
        return all(bool(torch.isfinite(t).all()) for tensors in self.sums.values() for t in tensors.values())

    def together(self) -> Parameters:
        """The sums of all regions, added up."""
        return Contribution.total(Contribution((), {EVERYWHERE: sums}) for sums in self.sums.values()).everywhere()

    def everywhere(self) -> Parameters:
        """The sums that concern the whole federation."""
        return self.sums.get(EVERYWHERE, {})


class Answers(Protocol):
    """What the members of one cohort send, before it is added up; members are counted from zero."""

    def sound(self) -> Sequence[bool]:
        """Of each member, whether it sends neither NaN nor infinity, and no model with weights beyond `LARGEST`."""

    def total(self, members: Sequence[int]) -> Contribution:
        """The sum over some members. Of a single one: what travels."""

    def nbytes(self, members: Sequence[int]) -> int:
        """Bytes that these members send, one by one."""


@dataclass(frozen=True)
class Listed:
    """Each member's own contribution."""

    contributions: Sequence[Contribution]

    def sound(self) -> Sequence[bool]:
        return [contribution.finite() for contribution in self.contributions]

    def total(self, members: Sequence[int]) -> Contribution:
        sums = Contribution.total(replace(self.contributions[member], clients=()) for member in members)
        return replace(
            sums, clients=_once(client for member in members for client in self.contributions[member].clients)
        )

    def nbytes(self, members: Sequence[int]) -> int:
        return sum(nbytes(sums) for member in members for sums in self.contributions[member].sums.values())


@dataclass(frozen=True)
class Weighed:
    """Models of a whole cohort, with their weights in the mean: added up at once along the clients axis.

    Attributes:
        regions: under which each member's terms are kept.
        parameters: the members' models, all of one size, with a leading clients axis; a smaller size travels as it is.
        weights: of each model in the mean: its number of samples.
        metrics: further sums, a number or a tensor of a client each.
    """

    clients: Sequence[int]
    regions: Sequence[int]
    parameters: Parameters
    weights: Float[Tensor, " clients"]
    metrics: Mapping[str, Float[Tensor, "clients ..."]]

    def sound(self) -> Sequence[bool]:
        flags = [_finite(metric).cpu() for metric in self.metrics.values()]
        flags += [_within(stack).cpu() for stack in self.parameters.values() if stack.numel()]
        return [bool(flag) for flag in torch.stack(flags).all(0)]

    def total(self, members: Sequence[int]) -> Contribution:
        homes: dict[int, list[int]] = {}
        for member in members:
            homes.setdefault(self.regions[member], []).append(member)
        sums = {region: self._summed(torch.tensor(rows)) for region, rows in homes.items()}
        return Contribution(_once(self.clients[member] for member in members), sums)

    def nbytes(self, members: Sequence[int]) -> int:
        return len(members) * sum(nbytes(sums) for sums in self.total([0]).sums.values())

    def _summed(self, rows: Int[Tensor, " members"]) -> dict[str, Tensor]:
        weights = self.weights[rows].double()
        sums = {name: metric[rows].double().sum(0) for name, metric in self.metrics.items()}
        for name, stack in self.parameters.items():
            if len(rows) == 1:
                sums[name] = weights.to(stack.dtype)[0] * stack[rows[0]].cpu()
            else:
                sums[name] = weighted_sum(stack if len(rows) == len(stack) else stack[rows], weights).cpu()
            sums[f"{WEIGHT}/{name}"] = weights.sum()
        return sums


@dataclass(frozen=True)
class ByRegion:
    """Answers of members each of which may have several of the rows that another holds: one a region.

    Attributes:
        rows: of each member.
    """

    answers: Answers
    rows: Sequence[Sequence[int]]

    def sound(self) -> Sequence[bool]:
        sound = self.answers.sound()
        return [all(sound[row] for row in rows) for rows in self.rows]

    def total(self, members: Sequence[int]) -> Contribution:
        return self.answers.total(self._rows(members))

    def nbytes(self, members: Sequence[int]) -> int:
        return self.answers.nbytes(self._rows(members))

    def _rows(self, members: Sequence[int]) -> list[int]:
        return [row for member in members for row in self.rows[member]]


def _once(clients: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(clients)))


def _finite(stack: Float[Tensor, "clients ..."]) -> Bool[Tensor, " clients"]:
    """Of each client, whether all its numbers are finite. A finite sum has only finite terms, and is found sooner."""
    rows = stack.unsqueeze(1)
    good = rows.sum(tuple(range(1, rows.dim()))).isfinite()
    return good if bool(good.all()) else rows.isfinite().flatten(1).all(1)


def _within(stack: Float[Tensor, "clients ..."]) -> Bool[Tensor, " clients"]:
    """Of each client, whether all its numbers are finite and within `LARGEST`."""
    least, most = stack.reshape(len(stack), -1).aminmax(dim=1)
    return (least >= -LARGEST) & (most <= LARGEST)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _added(mine: Parameters, theirs: Parameters) -> dict[str, Tensor]:
    """Sums by name."""
    total = {**mine, **theirs}
    for name in mine.keys() & theirs.keys():
        one, other = _alike(name, mine, theirs)
        total[name] = _wide(one) + _wide(other)
    return total


def _alike(name: str, mine: Parameters, theirs: Parameters) -> tuple[Tensor, Tensor]:
    """Two terms of one sum. Those of models of different sizes are filled with zeros where they hold nothing, and so
    are their weights, which are one number each as long as all hold the same coordinates."""
    model = name.removeprefix(f"{WEIGHT}/")
    if f"{WEIGHT}/{model}" not in mine or mine[model].shape == theirs[model].shape:
        return mine[name], theirs[name]
    shape = tuple(map(max, mine[model].shape, theirs[model].shape))
    one, other = (filled(sums[name].expand_as(sums[model]), shape) for sums in (mine, theirs))
    return one, other


def filled(part: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor as the leading corner of a larger one of zeros; itself where it has that shape."""
    if part.shape == tuple(shape):
        return part
    whole = part.new_zeros(tuple(shape))
    whole[corner(part.shape)] = part
    return whole


def coverage_mean(sums: Parameters, previous: Parameters) -> dict[str, Tensor]:
    """theta_s = sum_i n_i theta_i,s / sum_i n_i over the clients whose slice holds coordinate s.

    A coordinate that nobody holds keeps its previous value. Source: HeteroFL, Diao et al. (2021).
    """
    mean = {}
    for name, before in previous.items():
        if name not in sums:
            mean[name] = before
            continue
        total = sums[name].double()
        held = filled(sums[f"{WEIGHT}/{name}"].double().expand_as(total), before.shape)
        value = filled(total, before.shape) / held.clamp_min(1e-300)
        mean[name] = torch.where(held > 0, value.to(before.dtype), before)
    return mean


class AggregationRule(Rule):
    """Contract: the next server model from the sums of one round. Pure: state in, state out."""

    @abstractmethod
    def init(self, parameters: Parameters) -> dict[str, Tensor]:
        """The rule's own state for a model of these shapes."""

    @abstractmethod
    def apply(
        self, state: Parameters, parameters: Parameters, sums: Parameters
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The next model and the next state, from the weighted terms of all clients, added up."""
