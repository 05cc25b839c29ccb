"""The one Flower Strategy: rounds in phases, each a sum over clients and a pure step of the server's state."""

import logging
import time
from collections.abc import Callable, Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from federation.engine import Waiting
from federation.models.family import FULL
from federation.phases import Phase
from federation.randomness import generator
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.timing.pacing import PacingRule, Synchronous
from federation.wire.contribution import EVERYWHERE, Contribution
from federation.wire.records import ACTION, CONFIG, Order, to_arrays
from server.advancing import RoundLostError, advanced
from server.checkpoint import Checkpoint, Checkpoints
from server.history import RoundRecord, trained_sums
from server.orders import order
from server.phases import side
from server.phases.contract import Kind, Now, Step
from server.plasticity import dormant_shares
from server.replies import Replies
from server.roster import Roster
from server.schedule import ROLL_CALL, schedule
from server.state import ServerState, initial, rejoined
from server.training import residual

Observer = Callable[[RoundRecord, ServerState], None]
"""Told of each finished round, once it can no longer be lost."""

Score = Callable[[ServerState], float]
"""How well the federation would answer if it stopped now."""

PATIENCE = 3
"""Rounds of training in a row that may pass without any answer."""

RETRIES = 3
"""How often those who are missing are asked again, after a pause, where the quorum does not hold."""

LOG = logging.getLogger("manifold")


class ManifoldStrategy(Strategy):
    """The round loop: it asks, refuses, adds up, and writes down, whatever the phases of the scenario are.

    Args:
        clients: size of the federation; the first round waits for as many nodes.
        observe: called after each round.
        score: asked after each round that trained something.
        start: prior and encoders to keep as they are, from `start_of` another run.
        checkpoints: where to write down what has been done, if anywhere.
        resumed: what the run goes on from.
        held: what the server itself holds, as `phase/name`.
    """

    def __init__(
        self,
        scenario: Scenario,
        task: Task,
        clients: int,
        observe: Observer = lambda record, state: None,
        start: ServerState | None = None,
        *,
        score: Score | None = None,
        checkpoints: Checkpoints | None = None,
        resumed: Checkpoint | None = None,
        held: Parameters | None = None,
    ) -> None:
        self.scenario, self.task, self._held = scenario, task, held or {}
        self._observe, self._score, self._checkpoints = observe, score, checkpoints
        self.steps = schedule(scenario, task, begun=start is not None)
        self._resumed = resumed or Checkpoint(start or initial(scenario, task))
        self.state, self.history = rejoined(self._resumed.state, scenario), list(self._resumed.history)
        self._left = list(self.steps[len(self.history) :])
        self._roster = Roster(scenario, clients)
        self._roster.turns, self._roster.data = dict(self._resumed.turns), dict(self._resumed.data)
        self._roster.samples = dict(self._resumed.samples)
        self._asked, self._versions = dict[int, Order](), dict[int, ServerState]()  # by node; states by round
        self._empty, self._began = self._resumed.empty, time.monotonic()

    def summary(self) -> None:
        """Nothing beyond the configuration, which every run keeps."""

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 0,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the rounds of the schedule that are left, over a grid whose rounds end when the pacing says so.

        Args:
            num_rounds: the most that are run; 0 for all.
        """
        self._grid, self._timeout, known = Waiting(grid), timeout, self._resumed
        if self._grid.simulated is not None and known.simulated is not None:
            self._grid.simulated.remember(known.simulated)
            self._roster.recall(known.node_of, known.aware, known.strikes)
        elif self.history and self._left:
            self._left.insert(0, ROLL_CALL)
        rounds = min(num_rounds or len(self._left), len(self._left))
        return super().start(self._grid, initial_arrays, rounds, timeout, train_config, evaluate_config, evaluate_fn)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        self._began, step = time.monotonic(), self._left[server_round - 1]
        if self._idle(step):
            self._asked = {}
            return []
        now, pacing = self._now(step), self.pacing(step.phase)
        if step.round == 0:
            self._grid.abandon()
        at_work = self._grid.at_work.values()
        begun = {int(str(message.content.config_records[CONFIG]["round"])) for message in at_work}
        self._versions = {round_: self._versions[round_] for round_ in begun} | {step.round: self.state}
        busy = {message.metadata.dst_node_id for message in at_work}
        while not any(here := self._roster.here(now, self._grid.get_node_ids(), busy)) and not busy:
            self._grid.rest()
        numbers, strangers = here
        if not step.phase.asks_all and self.scenario.fraction < 1:
            wanted = max(1, round(self.scenario.fraction * (len(numbers) + len(busy))))
            asked = min(len(numbers), max(0, pacing.at_work(wanted) - len(busy)))
            draw = generator(self.scenario.seed, "cohort", step.phase.name, step.round)
            numbers = sorted(draw.choice(numbers, asked, replace=False).tolist())
        else:
            wanted = len(numbers) + len(strangers) + len(busy)
        kind_of = {self._roster.node_of[n]: self._roster.kind(now, n) for n in numbers}
        kind_of |= dict.fromkeys(strangers, Kind(EVERYWHERE, FULL))
        self._grid.enough = pacing.enough(wanted) if pacing.enough(wanted) < len(kind_of) + len(busy) else None
        self._grid.deadline, self._grid.keeps = pacing.deadline, pacing.buffers
        order_of = {kind: order(now, kind) for kind in dict.fromkeys(kind_of.values())}
        self._asked = {node: order_of[kind] for node, kind in kind_of.items()}
        self._roster.asked(step, numbers)
        return self._messages(self._asked)

    def pacing(self, phase: Phase) -> PacingRule:
        """How long the rounds of a phase wait: those that ask all clients wait for all, and only models of regions and
        the prior are trained without waiting."""
        if phase.asks_all or (self.scenario.pacing.buffers and not phase.elastic):
            return Synchronous()
        return self.scenario.pacing

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        step = self._left[server_round - 1]
        accepted, refused = self._sorted_out(replies, step)
        for _ in range(RETRIES):
            if len(clients_of(accepted)) >= self._quorum(step):
                break
            self._report(step, accepted, refused)
            self._grid.rest()
            more, refused = self._sorted_out(
                self._grid.send_and_receive(self._again(accepted), timeout=self._timeout), step
            )
            accepted += more
        if not self._idle(step):
            self._report(step, accepted, refused)
            self._check_failures(step, accepted, refused)
        if step != ROLL_CALL:
            self._finish(step, accepted, refused)
        return self._seen(step)

    def _seen(self, step: Step) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """What Flower sees of a round: the model that all clients train, where there is one, and the round's sums."""
        if step == ROLL_CALL:
            return None, None
        record, models = self.history[-1], side(step.phase).models(self.state)
        loss = {} if record.loss is None else {"loss": record.loss}
        arrays = to_arrays(models[EVERYWHERE].parameters) if EVERYWHERE in models else None
        return arrays, MetricRecord({"clients": record.answered, "refused": len(record.refused), **loss})

    def _sorted_out(self, replies: Iterable[Message], step: Step) -> tuple[list[Contribution], list[str]]:
        """The contributions that can be used, and the causes why the others can not."""
        how = Replies(self._now(step), self._grid, self._roster, self._versions, self.pacing(step.phase))
        return how.sorted_out(replies)

    def _quorum(self, step: Step) -> int:
        """How many clients must answer; where late answers count, too, nobody need be in time."""
        return 0 if self._grid.keeps else self._roster.quorum(self._now(step))

    def _again(self, accepted: list[Contribution]) -> list[Message]:
        """The orders of those who have not answered but are there, once more."""
        done, online = {self._roster.node_of[n] for n in clients_of(accepted)}, set(self._grid.get_node_ids())
        self._asked = {node: order for node, order in self._asked.items() if node in online or node in done}
        return self._messages({node: order for node, order in self._asked.items() if node not in done})

    def _report(self, step: Step, accepted: list[Contribution], refused: list[str]) -> None:
        """Name in the log those whose replies cannot be used, and deployed ones that are missing."""
        for cause in refused:
            LOG.warning("%s: refused, %s", step, cause)
        missing = self._roster.missing(clients_of(accepted))
        if self._grid.simulated is None and step.phase.asks_all and missing:
            LOG.warning("%s: goes on without clients %s", step, ", ".join(map(str, missing)))

    def _finish(self, step: Step, accepted: list[Contribution], refused: list[str]) -> None:
        """The next state, and the record of the round; both are written down before anybody is told."""
        now, phase = self._now(step), side(step.phase)
        samples = self._roster.samples if self._grid.simulated is None else None
        total, after, held_out, self.state, news = advanced(now, accepted, refused, samples)
        self._roster.answered(now, total.clients)
        trained = phase.models(after)
        moved = residual(phase.models(now.state), trained) if total.clients else None
        asleep = dormant_shares(total, trained) if step.phase.elastic else {}
        loss, visited, multiplies = trained_sums(total)
        silent = 0 if self._grid.keeps else max(0, len(self._asked) - len(total.clients) - len(refused))
        record = RoundRecord(
            len(self.history) + 1,
            step.phase.name,
            len(total.clients),
            tuple(refused),
            loss,
            visited,
            multiplies + phase.multiplies(now, total),
            residual=moved if visited else None,
            seconds=time.monotonic() - self._began,
            silent=silent,
            clock=self._grid.clock,
            score=self._score(self.state) if self._score is not None and visited else None,
            stable=len(self.state.stable(self.scenario.fixed_point)),
            parameters=self.state.parameters,
            grown=news,
            dormant=asleep,
            held_out=held_out,
        )
        self.history.append(record)
        last = len(self.history) == len(self.steps)
        if self._checkpoints is not None and (last or self._checkpoints.due) and self._settled():
            self._checkpoints.keep(self._checkpoint)
        self._observe(record, self.state)

    def _settled(self) -> bool:
        """Whether nobody is at work for a round that goes on: between two phases all who are late are given up."""
        done = len(self.history)
        return not self._grid.at_work or done == len(self.steps) or self.steps[done].round == 0

    def _checkpoint(self) -> Checkpoint:
        """All that the next round builds on."""
        return Checkpoint(
            self.state,
            tuple(self.history),
            self._roster.node_of,
            self._roster.aware,
            self._roster.turns,
            self._roster.strikes,
            self._roster.samples,
            self._empty,
            self._grid.simulated.memories() if self._grid.simulated is not None else None,
            self._roster.data,
        )

    def _check_failures(self, step: Step, accepted: list[Contribution], refused: list[str]) -> None:
        """End the run where too few are left or too many are refused."""
        limit, there, quorum = self.scenario.max_failures, len(clients_of(accepted)), self._quorum(step)
        cause = refused[0] if refused else "no client answered in time"
        self._empty = 0 if accepted else self._empty + 1
        if not accepted and (refused or not step.phase.trains or self._empty > PATIENCE):
            raise RoundLostError(f"{step}: no usable reply of {len(refused)}; {cause}")
        if limit is not None and len(refused) > limit:
            raise RoundLostError(f"{step}: {len(refused)} replies refused, max_failures={limit}; {cause}")
        if there < quorum:
            raise RoundLostError(f"{step}: {there} clients answered, the quorum is {quorum}; {cause}")

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        return None

    def _now(self, step: Step) -> Now:
        """A round, and the state as it is."""
        return Now(step, self.state, self.scenario, self.task, self._roster.clients, self._held)

    def _idle(self, step: Step) -> bool:
        """Whether a round has nothing to do: no region was spawned, or all that it would train has come to rest."""
        return side(step.phase).idle(self._now(step))

    def _messages(self, orders: dict[int, Order]) -> list[Message]:
        """One message a node; nodes with the same order share its body."""
        different = {id(order): order for order in orders.values()}
        bodies = {key: order.to_record() for key, order in different.items()}
        return [Message(bodies[id(order)], node, ACTION) for node, order in orders.items()]


def clients_of(contributions: Iterable[Contribution]) -> list[int]:
    """All clients whose sums are in them."""
    return [number for contribution in contributions for number in contribution.clients]
