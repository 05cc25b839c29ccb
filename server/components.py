"""What IFCA and FedEM share at the server: several models for all, and the shares of each in all clients' samples."""

from collections.abc import Mapping

import torch
from torch import Tensor

from federation.phases.fedem import Fedem
from federation.phases.ifca import Ifca
from federation.randomness import torch_generator
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, prefixed, stacked, under
from federation.wire.contribution import Contribution
from federation.world.predictors import ModelMixture, OwnTensors, Predictor
from server.bounds import Answer, counts
from server.global_model import kept
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import Model, ServerState


class Components(ServerSide):
    """Sends all components. One that is unknown has no labels to choose by: for it the shares of the federation hold,
    which is the rivals' better choice than the largest component alone."""

    kind: type[Ifca] | type[Fedem]

    def models(self, state: ServerState) -> Mapping[int, Model]:
        """Those that are there: none before the first round is done."""
        found = under("components", state.own.get(self.kind.kind(), {}))
        count = len(next(iter(found.values()), ()))
        return {component: Model({n: t[component] for n, t in found.items()}) for component in range(count)}

    def told(self, now: Now, kind: Kind) -> Told:
        shares = self.shares(now.state, now.scenario)
        return Told(prefixed("components", self.components(now.state, now.scenario, now.task)) | {"shares": shares})

    def predictor(self, state: ServerState, scenario: Scenario, task: Task, own: OwnTensors) -> Predictor | None:
        components, shares = self.components(state, scenario, task), self.shares(state, scenario)
        return ModelMixture(scenario.model, task, components, shares, own)

    def components(self, state: ServerState, scenario: Scenario, task: Task) -> Parameters:
        """Along a leading axis. The first begins as FedAvg's model, the others anew."""
        if known := under("components", state.own.get(self.kind.kind(), {})):
            return known
        others = (
            scenario.model.init(task, torch_generator(scenario.seed, "component", number))
            for number in range(1, scenario.phase(self.kind).components)
        )
        return stacked([{name: t[0] for name, t in state.prior.parameters.items()}, *others])

    def shares(self, state: ServerState, scenario: Scenario) -> Tensor:
        """Of the components in all clients' samples; the same where nobody has answered yet."""
        samples = self._samples(state, scenario)
        return samples / samples.sum() if bool(samples.sum() > 0) else torch.full_like(samples, 1 / len(samples))

    def share_answer(self, now: Now) -> Answer:
        """What says how a client's shares change."""
        components = len(self._samples(now.state, now.scenario))
        return {"metric/left": counts(components), "metric/joined": counts(components)}

    def next(self, now: Now, components: Parameters, total: Contribution) -> ServerState:
        """The state with new components, and with the shares of those that have answered."""
        samples = self._samples(now.state, now.scenario)
        for sums in total.sums.values():
            samples = samples + sums["metric/joined"] - sums["metric/left"]
        return kept(now, components=components, shares={"samples": samples.clamp_min(0)})

    def _samples(self, state: ServerState, scenario: Scenario) -> Tensor:
        none = torch.zeros(scenario.phase(self.kind).components, dtype=torch.float64)
        return state.own.get(self.kind.kind(), {}).get("shares/samples", none)
