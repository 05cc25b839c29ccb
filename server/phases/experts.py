"""The experts between two of their rounds: trained, renewed where units are dormant, and grown."""

from collections.abc import Collection

from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed
from federation.wire.contribution import Contribution
from server.growth import grown
from server.phases.contract import Kind, Now, Told
from server.plasticity import reinitialise_dormant
from server.state import ServerState
from server.telling import expert_of_size
from server.training import RegionTraining


class Experts(RegionTraining):
    """Sends each client its region's expert. Regions that have come to rest are not asked any more."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return scenario.experts.rounds

    def able(self, now: Now, clients: Collection[int]) -> Collection[int]:
        resting = now.state.stable(now.scenario.fixed_point)
        return {client for client in clients if now.state.region_of_client[client] not in resting}

    def idle(self, now: Now) -> bool:
        return len(now.state.stable(now.scenario.fixed_point)) == len(now.state.experts)

    def told(self, now: Now, kind: Kind) -> Told:
        scenario = now.scenario
        settings = {"learning_rate": scenario.experts.learning_rate, "probe": float(scenario.fixed_point.watched)}
        return Told(prefixed("model", expert_of_size(now, kind.region, kind.size).tensors()), settings)

    def between(self, now: Now, before: ServerState, total: Contribution) -> tuple[ServerState, tuple[str, ...]]:
        state, step, scenario = now.state, now.step, now.scenario
        news: tuple[str, ...] = ()
        if step.round + 1 == step.rounds:
            return state, news
        if scenario.plasticity.renew is not None:
            state, news = reinitialise_dormant(state, total.sums, step.round, scenario, now.task)
        if scenario.growth.used:
            state, more = grown(state, total.sums, step.round, scenario, now.task)
            news += more
        return state, news


SIDE = Experts()
