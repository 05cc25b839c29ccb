"""The contract of the server's side of a phase: what a round asks, what may come back, and what becomes of the sum."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from federation.data.samples import FederatedData
from federation.models import Size
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.wire.contribution import EVERYWHERE, Contribution
from federation.world.predictors import OwnTensors, Predictor
from server.bounds import Answer, check_values
from server.state import Model, ServerState


@dataclass(frozen=True)
class Step:
    """One round: its phase, its number within the phase, and the phase's rounds.

    A phase may continue the training of others: then `before` and `after` are their rounds.
    """

    phase: Phase
    round: int
    rounds: int
    before: int = 0
    after: int = 0

    def __str__(self) -> str:
        return f"{self.phase.name} round {self.round + 1}"

    @property
    def share(self) -> float:
        """Share of the phase's own rounds that are done: 0 in the first round."""
        return self.round / self.rounds

    @property
    def progress(self) -> float:
        """Share of the rounds that are done, those before and after counted."""
        return (self.before + self.round) / (self.before + self.rounds + self.after)


@dataclass(frozen=True)
class Now:
    """A round, and the state with which it begins.

    Attributes:
        clients: size of the federation.
        held: what the server itself holds, as `phase/name`.
    """

    step: Step
    state: ServerState
    scenario: Scenario
    task: Task
    clients: int
    held: Parameters = field(default_factory=dict)

    def after(self, state: ServerState) -> "Now":
        """The same round with a later state."""
        return replace(self, state=state)


class Kind(NamedTuple):
    """What tells a client's order from those of others.

    Attributes:
        region: the client's, once there are any: of several, that of most of its samples.
        size: of the model that it trains.
        reached: the regions whose experts it downloads.
        knows: whether it remembers what this phase has told it before.
        again: phases whose memory it lacks, so that it is told again.
        counted: where its last answer was not counted, the last round of the phase that was, or -1; else None.
        regions: those for each of which it answers, where it has samples in several.
    """

    region: int
    size: Size
    reached: tuple[int, ...] = ()
    knows: bool = False
    again: tuple[str, ...] = ()
    counted: int | None = None
    regions: tuple[int, ...] = ()


@dataclass(frozen=True)
class Told:
    """The tensors and settings of an order."""

    tensors: Parameters = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)


class ServerSide(ABC):
    """What a phase does at the server; a file in `server/phases/` defines `SIDE`, one of these.

    Attributes:
        by_reach: whether an order holds the experts that a client's samples reach, which differ from client to client.
    """

    by_reach: bool = False

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        """How many rounds the phase takes: those that its value names, else one."""
        return int(getattr(phase, "rounds", 1))

    def holds(self, phase: Phase, scenario: Scenario, data: Callable[[], FederatedData]) -> Parameters:
        """What the server itself brings to this phase, beside what clients send; asked before anything runs.

        Args:
            data: what the scenario's data are where the server runs.
        Raises:
            InputError: the phase cannot run on these data or settings.
        """
        return {}

    def able(self, now: Now, clients: Collection[int]) -> Collection[int]:
        """Those of the clients that can serve this round, for what has been done before."""
        return clients

    def idle(self, now: Now) -> bool:
        """Whether this round has nothing to do."""
        return False

    def region(self, now: Now, client: int) -> int:
        """The region for which a client is asked."""
        return now.state.region_of_client[client] if now.state.region_of_client else EVERYWHERE

    def models(self, state: ServerState) -> Mapping[int, Model]:
        """The models that clients train here, by region; the federation's own under `EVERYWHERE`."""
        return {}

    def told(self, now: Now, kind: Kind) -> Told:
        """What clients of one kind are told."""
        return Told()

    def again(self, now: Now, kind: Kind) -> Told:
        """What a client is told in a later phase if it has lost what it was told in this one."""
        return self.told(now, kind)

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        """The regions under which these clients may send sums."""
        if not now.step.phase.by_region:
            return {EVERYWHERE}
        return {region for client in clients for region in now.state.homes(client)}

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        """Each sum that one client must send, by name: its shape, or its shape and the range of its numbers.

        Raises:
            ValueError: there is no such region.
        """
        return {}

    def check(self, now: Now, who: str, sums: Parameters, answer: Answer) -> None:
        """Refuse sums that were not asked for or are out of bounds; their shapes have been checked.

        Args:
            answer: what was asked for.
        Raises:
            ValueError: what is wrong; begins with `who`.
        """
        check_values(who, sums, answer)

    @abstractmethod
    def advance(self, now: Now, total: Contribution) -> ServerState:
        """The next state from the sum of all answers."""

    def multiplies(self, now: Now, total: Contribution) -> float:
        """Multiply-adds of a forward pass over each sample that the server trains on itself."""
        return 0.0

    def between(self, now: Now, before: ServerState, total: Contribution) -> tuple[ServerState, tuple[str, ...]]:
        """What else becomes of the state after a round that somebody has answered, with a sentence for each change.

        Args:
            now: with the state that `advance` gave.
            before: the state with which the round began.
        """
        return now.state, ()

    def predictor(self, state: ServerState, scenario: Scenario, task: Task, own: OwnTensors) -> Predictor | None:
        """What the federation answers with once this phase is done; None if this phase makes no such thing.

        Args:
            own: what a client remembers of this phase, where it can be seen: in a simulation.
        """
        return None

    def held_out(self, now: Now, total: Contribution) -> float | None:
        """What clients report of how the state answers the samples that they hold out, if this phase asks for it.

        Args:
            now: with the state that `advance` gave.
        """
        return None
