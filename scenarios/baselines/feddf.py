"""FedDF: the experts' ensemble, distilled into one model on unlabelled samples."""

import torch
import torch.nn.functional as F
from torch import Tensor

from federation.data.samples import Samples
from federation.models.cost import Cost
from federation.routing import Gates
from scenarios.baselines.central import descended, shown
from scenarios.baselines.contract import Contender, Method, Trial, active, single_model, training_flops


class FedDf(Method):
    """One model learns what the world model's experts say together, as `uniform` does. Source: Lin et al. (2020).

    Their server has unlabelled samples of the same kind. Ours has none; here it is given the inputs that are held out
    inside the federation, which favours the rival over noise or strange images. The experts are trained once, so the
    fusion is done once, after them, and its student begins afresh, since they are smaller than it.
    """

    name, title = "feddf", "FedDF: the same experts distilled into one, equal active parameters"
    reuses_world = True

    def run(self, trial: Trial) -> Contender:
        run, task, epochs = trial.finished(), trial.task, trial.rounds * trial.scenario.local.epochs
        world, family = run.outcome.world, trial.sized(active)
        inputs = torch.cat([client.held_out.inputs for client in trial.federation.clients])
        regions = world.design.regions
        taught = Samples(inputs, world.mixture(inputs, Gates.even(len(inputs), regions)))
        losses = _divergence if task.classifies else task.objective
        models = descended(trial, family, task, shown(trial, taught, self.name), losses, self.name)
        answer, curve = trial.followed(single_model(family, model, task) for model in models)
        asked = world.cost_of_experts(regions).query_flops * len(inputs)
        flops = run.training_flops + asked + training_flops(family.multiplies(task) * epochs * len(inputs))
        return Contender(answer, Cost.of(family, task), run.traffic.up, run.traffic.down, flops, curve)


def _divergence(outputs: Tensor, taught: Tensor) -> Tensor:
    """KL(teacher | student) of each row, up to the teacher's entropy, which no step changes."""
    return F.cross_entropy(outputs, taught, reduction="none")


FEDDF = FedDf()
