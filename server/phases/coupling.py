"""What clients are told of their neighbours while their experts are coupled."""

import torch

from federation.learning.experts import scattered
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed
from federation.wire.records import VARIANCES
from server.phases.contract import Kind, Now, Told
from server.telling import expert_of_size, prior_tensors
from server.training import RegionTraining


class Coupling(RegionTraining):
    """Sends the region's expert and its neighbours', with the variances of all, the own first. Clients that do not know
    yet where regions meet are told that, too."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return scenario.coupling.rounds

    def told(self, now: Now, kind: Kind) -> Told:
        state, scenario = now.state, now.scenario
        assert state.encoder is not None
        assert state.atlas is not None
        around = (kind.region, *state.neighbours[kind.region])
        own, *others = (expert_of_size(now, region, kind.size) for region in around)
        tensors = prefixed("model", own.tensors()) | prefixed("neighbours", scattered(dict(enumerate(others))))
        tensors[VARIANCES] = torch.tensor([state.experts[region].variance for region in around])
        if not kind.knows:
            tensors |= prefixed("encoder", state.encoder.weights) | prior_tensors(state, scenario)
            tensors |= prefixed("atlas", state.atlas.part(around).tensors())
        settings = {
            "learning_rate": scenario.experts.learning_rate,
            "before": now.step.before,
            "strength": scenario.coupling.strength_at(now.step.share),
        }
        return Told(tensors, settings)


SIDE = Coupling()
