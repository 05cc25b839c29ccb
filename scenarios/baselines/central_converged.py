"""The monolith with all the time that it wants: trained until its loss on held-out samples rests."""

from dataclasses import replace
from math import inf

import torch
from torch.optim.lr_scheduler import LambdaLR

from federation.data.samples import Samples
from federation.models.cost import Cost
from federation.tensors import Parameters, single
from scenarios.baselines.central import Central, descended, shown
from scenarios.baselines.contract import Contender, Trial, single_model, training_flops

PATIENCE = 5
"""Rounds without a lower held-out loss after which the rate is lowered; after twice as many, training ends."""

LOWERED = 0.2
"""Factor on the rate."""

MOST = 20
"""Times the equal budget after which training ends in any case."""


class CentralConverged(Central):
    """Early stopping, at a rate that is lowered on plateaus; the best model is kept.

    Its learning rate is searched by the same short runs as central's.
    """

    name, title = "central_converged", "monolith on pooled data, trained until its held-out loss rests"

    def run(self, trial: Trial) -> Contender:
        if trial.share < 1:
            return super().run(trial)
        task, clients, family = trial.task, trial.federation.clients, trial.sized(self.parameters)
        pooled, held_out = (
            Samples.concatenated([getattr(client, part) for client in clients]) for part in ("train", "held_out")
        )
        rest, longest = Rest(), replace(trial, budget=MOST * trial.rounds)
        samples = shown(trial, pooled, self.name)
        for model in descended(longest, family, task, samples, task.objective, self.name, rest.schedule):
            outputs = family.asked(single(model), held_out.inputs, task)[0]
            rest.see(model, float(task.objective(outputs, held_out.targets).mean()))
            if rest.rounds <= trial.rounds:
                trial.on_round()
            if rest.reached:
                break
        visits = rest.rounds * trial.scenario.local.epochs * len(pooled)
        return Contender(
            single_model(family, rest.model, task),
            Cost.of(family, task),
            training_flops=training_flops(family.multiplies(task) * visits),
            budgets=rest.rounds / trial.rounds,
        )


class Rest:
    """Watches a model's held-out loss round by round, and keeps the best model."""

    def __init__(self) -> None:
        self.model: Parameters = {}
        self.rounds, self._best, self._loss, self._factor, self._waited = 0, 0, inf, 1.0, 0

    def see(self, model: Parameters, loss: float) -> None:
        """A further round has made this model. A loss that is not finite is never the best."""
        self.rounds += 1
        self._waited += 1
        if loss < self._loss or not self.model:
            self.model, self._loss, self._waited = model, min(inf, loss), 0
        elif self._waited % PATIENCE == 0:
            self._factor *= LOWERED

    @property
    def reached(self) -> bool:
        """Whether a lowered rate did not help either."""
        return self._waited >= 2 * PATIENCE

    def schedule(self, optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
        """The rate that holds now, whatever the number of steps."""
        return LambdaLR(optimizer, lambda step: self._factor)


CENTRAL_CONVERGED = CentralConverged()
