"""AFL: one last layer by least squares from a single sum over all clients, on what the world model's head reads.

Source: Zhuang et al. (2025), AFL: a single-round analytic approach for federated learning, arXiv 2405.16240.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from federation.data.samples import Samples
from federation.learning.least_squares import moments, refitted
from federation.models.cost import Cost
from federation.tensors import Parameters, count, single
from federation.world_model import WorldModel
from scenarios.baselines.contract import Contender, Method, Trial, training_flops
from scenarios.baselines.head import without_head

RIDGES = (1e-6, 1e-4, 1e-2, 1.0)
"""Penalties that are tried on the clients' held-out samples, as shares of each feature's variance."""


@dataclass(frozen=True)
class HeadFeatures:
    """What the last layer of a world model's head sees of inputs, and what that costs."""

    world: WorldModel

    def __call__(self, inputs: Tensor) -> Float[Tensor, "samples features"]:
        network, head = self.world.design.head, self.world.head
        return network.units(single(head), network.reads(inputs, self.world.encoder(inputs))[None])[0]

    @property
    def cost(self) -> Cost:
        """Constants of the features, an encoder that they need, and hidden units."""
        design, head = self.world.design, self.world.head
        last = count({name: tensor for name, tensor in head.items() if name.startswith("head.")})
        encoder = 0 if design.head.features else self.world.encoder.parameters
        parameters = design.head.constants(design.task) + count(head) - last + encoder
        multiplies = design.head.multiplies(design.task, head) - last + encoder
        return Cost(parameters, parameters, 2 * multiplies)


class Afl(Method):
    """The exact solution over all clients' samples, which no client has to show: the penalty is all that is chosen."""

    name, title = "afl", "AFL: one last layer by least squares on the features of the world model's head"
    searched, reuses_world = False, True

    def absent(self, trial: Trial) -> str:
        return without_head(trial)

    def run(self, trial: Trial) -> Contender:
        task, clients, run = trial.task, trial.federation.clients, trial.finished()
        read = HeadFeatures(run.outcome.world)
        sums = [moments(read(client.train.inputs), client.train.targets, task) for client in clients]
        whole = {name: torch.stack([each[name] for each in sums]).sum(0) for name in sums[0]}
        held_out = Samples.concatenated([client.held_out for client in clients])
        features = read(held_out.inputs)
        empty = {"head.weight": torch.zeros(task.outputs, features.shape[1]), "head.bias": torch.zeros(task.outputs)}
        heads = [refitted(empty, whole, ridge, task) for ridge in RIDGES]

        def outputs(head: Parameters, units: Tensor) -> Tensor:
            return task.answers(units @ head["head.weight"].T + head["head.bias"])

        best = max(heads, key=lambda head: task.score(outputs(head, features), held_out.targets))
        samples, rows = sum(len(client.train) for client in clients), features.shape[1] + 1
        work = samples * (read.cost.query_flops // 2 + rows * (rows + task.outputs))
        return Contender(
            lambda inputs, clients: outputs(best, read(inputs)),
            read.cost + Cost(count(best), count(best), 2 * count(best)),
            run.traffic.up + 8 * count(whole) * len(clients),
            run.traffic.down,
            run.training_flops + training_flops(work),
        )


AFL = Afl()
