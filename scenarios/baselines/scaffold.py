"""SCAFFOLD: control variates that take the drift of unequal clients out of their steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Int
from torch import Tensor

from clients.training import Batch, Objective
from federation.models import ElasticFamily
from federation.models.family import Slope, written_out
from federation.tensors import Parameters, accelerator, prefixed, stacked, under, unstacked
from federation.wire.contribution import Contribution, coverage_mean
from scenarios.baselines.contract import Answer, Trial, single_model
from scenarios.baselines.federated import Federated, Round


@dataclass(frozen=True)
class Controlled:
    """The global model x, its control variate c, and the c_i that each client remembers (zero before it is asked).

    `samples` is the number of those of the whole federation.
    """

    model: Parameters
    control: Parameters
    controls: Mapping[int, Parameters]
    samples: int


class Scaffold(Federated[Controlled]):
    """Each local step goes down its slope - c_i + c. Source: Karimireddy et al. (2020).

    The next c_i is the mean of the slopes that the client's steps have met: without momentum and weight decay that is
    their option II, c_i - c + (x - y_i) / (steps * rate). Clients weigh as many as their samples, in c as in x, so that
    the loss which is minimised is that of the pooled samples. The server's step is 1, as in their experiments.
    """

    name, title = "scaffold", "SCAFFOLD, equal active parameters"

    def begin(self, trial: Trial, family: ElasticFamily) -> Controlled:
        model = self.fresh(trial, family)
        return Controlled(model, _zeros(model), {}, sum(len(client.train) for client in trial.federation.clients))

    def round(self, state: Controlled, now: Round) -> Controlled:
        server, total = prefixed("model", state.model) | prefixed("control", state.control), Contribution()
        controls = dict(state.controls)
        for cohort in now.cohorts():
            now.download(cohort, server)
            before = stacked([controls.get(client, _zeros(state.model)) for client in cohort])
            corrected = Corrected(now.objective, {name: c - before[name] for name, c in state.control.items()})
            trained = now.train(stacked([state.model] * len(cohort)), cohort, corrected)
            after = corrected.mean(_steps(cohort, now))
            change = {name: c - before[name] for name, c in after.items()}
            sent = now.total(cohort, prefixed("model", trained.parameters) | prefixed("control", change))
            controls |= {c: own for c, own in zip(cohort, unstacked(after), strict=True) if c in sent.clients}
            total += sent
        sums = total.everywhere()
        moved = {name: sums[f"control/{name}"].float() / state.samples if sums else 0.0 for name in state.control}
        control = {name: c + moved[name] for name, c in state.control.items()}
        model = under("model", coverage_mean(sums, prefixed("model", state.model)))
        return Controlled(model, control, controls, state.samples)

    def answer(self, state: Controlled, trial: Trial, family: ElasticFamily) -> Answer:
        return single_model(family, state.model, trial.task)


class Corrected:
    """An objective with a constant added to each client's slopes; it remembers the sums of those without."""

    def __init__(self, plain: Objective, added: Parameters) -> None:
        self._plain = plain
        self._added = {name: tensor.to(accelerator()) for name, tensor in added.items()}
        self._sums = _zeros(self._added)

    def __call__(self, model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Slope]]:
        losses, slopes = self._plain(model, batch, weights)
        written = {name: written_out(slope) for name, slope in slopes.items()}
        for name, slope in written.items():
            self._sums[name] += slope
        return losses, {name: slope + self._added[name] for name, slope in written.items()}

    def mean(self, steps: Int[Tensor, " clients"]) -> dict[str, Tensor]:
        """Each client's mean slopes over its steps; one that rests has none."""
        return {n: t.cpu() / steps.view(-1, *[1] * (t.dim() - 1)) for n, t in self._sums.items()}


def _zeros(like: Parameters) -> dict[str, Tensor]:
    return {name: torch.zeros_like(tensor) for name, tensor in like.items()}


def _steps(cohort: list[int], now: Round) -> Int[Tensor, " clients"]:
    """How many steps each member takes."""
    local = now.local
    return torch.tensor([local.epochs * ceil(len(now.samples(client)) / local.batch_size) for client in cohort])
