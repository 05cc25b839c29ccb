"""The expert of the spawned region, trained by the clients whose samples spawned it."""

from collections.abc import Collection

from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from server.phases.contract import Kind, Now, Told
from server.phases.experts import SIDE as EXPERTS
from server.training import RegionTraining


class SpawnTraining(RegionTraining):
    """Sends the last region's expert. No other region is trained."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return scenario.novelty.rounds if scenario.novelty.spawn_at is not None else 0

    def able(self, now: Now, clients: Collection[int]) -> Collection[int]:
        return set(now.state.pioneers) & set(clients)

    def idle(self, now: Now) -> bool:
        return not now.state.pioneers

    def region(self, now: Now, client: int) -> int:
        return len(now.state.experts) - 1

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return {self.region(now, client) for client in clients}

    def told(self, now: Now, kind: Kind) -> Told:
        return EXPERTS.told(now, kind)


SIDE = SpawnTraining()
