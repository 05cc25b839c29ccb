"""Training of one model in one place: a monolith's, or what a server trains itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from federation.data.samples import Samples
from federation.models import ElasticFamily
from federation.optimizers import AdamW, Optimizer, Sgd
from federation.randomness import generator
from federation.tasks import Task
from federation.tensors import Parameters, threads_for

BATCH, MOMENTUM = 50, 0.9
"""Its own, since a federation's batches are averaged over clients."""

RowLosses = Callable[[Tensor, Tensor], Float[Tensor, " samples"]]
"""Losses of outputs [samples, outputs] and targets, one a row."""

Schedule = Callable[[torch.optim.Optimizer, int], LRScheduler]
"""The learning rates of so many steps."""


@dataclass(frozen=True)
class Descent:
    """Stochastic gradient descent with momentum, or AdamW where clients use it.

    Attributes:
        epochs: visits of each sample.
        rate: of the first step.
        like: the clients' optimiser, whose weight decay holds here, too.
        clip: the longest gradient of a step, if there is one.
        seed, address: of the draws of batches.
        schedule: of the rate; half a cosine over all steps.
    """

    epochs: int
    rate: float
    like: Optimizer
    clip: float | None
    seed: int
    address: tuple[int | str, ...]
    schedule: Schedule = CosineAnnealingLR

    def models(
        self,
        start: Parameters,
        family: ElasticFamily,
        task: Task,
        samples: Callable[[int], Samples],
        losses: RowLosses,
    ) -> Iterator[Parameters]:
        """The model after each epoch.

        Args:
            samples: those of an epoch; their number stays.
        """
        model = {name: tensor[None].clone().requires_grad_() for name, tensor in start.items()}
        optimizer = self._optimizer(model)
        steps = self.epochs * ceil(len(samples(0)) / BATCH)
        schedule = self.schedule(optimizer, steps)
        for epoch in range(self.epochs):
            rows = samples(epoch)
            order = generator(self.seed, *self.address, epoch).permutation(len(rows))
            with threads_for(family.multiplies(task) * BATCH):
                for start_of in range(0, len(rows), BATCH):
                    batch = rows.take(order[start_of : start_of + BATCH])
                    optimizer.zero_grad()
                    torch.autograd.backward(losses(family.apply(model, batch.inputs[None])[0], batch.targets).mean())
                    if self.clip is not None:
                        torch.nn.utils.clip_grad_norm_(model.values(), self.clip)
                    optimizer.step()
                    schedule.step()
            yield {name: tensor[0].detach().clone() for name, tensor in model.items()}

    def _optimizer(self, model: Parameters) -> torch.optim.Optimizer:
        if isinstance(self.like, AdamW):
            betas = self.like.beta1, self.like.beta2
            return torch.optim.AdamW(model.values(), self.rate, betas, self.like.eps, self.like.weight_decay)
        decay = self.like.weight_decay if isinstance(self.like, Sgd) else 0.0
        return torch.optim.SGD(model.values(), self.rate, MOMENTUM, weight_decay=decay)
