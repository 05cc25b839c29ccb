"""The one Flower Strategy: rounds in phases, each a sum over clients and a pure step of the server's state."""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy
from torch import Tensor

from federation.composition import candidates, chosen, usable
from federation.confidence import fitted_temperature
from federation.context import chosen_context
from federation.contribution import EVERYWHERE, Contribution, coverage_mean
from federation.engine import Waiting
from federation.experts import Expert, specialised, trunk_of
from federation.manifold import Chart, Encoder
from federation.models import Size
from federation.models.family import FULL
from federation.novelty import novelty_threshold
from federation.pacing import PacingRule, Synchronous
from federation.randomness import generator
from federation.records import ACTION, CONFIG, KNOWN, LABELS, Order, Stage, read_contribution
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, prefixed, under
from server.buffer import caught_up
from server.history import RoundRecord, residual_variance, trained_sums
from server.schedule import ELASTIC, EVERYBODY, EVIDENCED, TRAINED, UNCHARTED, Step, schedule
from server.state import (
    Charted,
    Model,
    ServerState,
    candidate_tensors,
    chart_tensors,
    coupling_tensors,
    encoder_tensors,
    evidence_tensors,
    initial,
    prior_tensors,
    settled,
    spawned,
)
from server.validation import check

Observer = Callable[[RoundRecord, ServerState], None]
"""Told of each finished round."""


PATIENCE = 3
"""Rounds of training in a row that may pass without any answer."""

LOG = logging.getLogger("manifold")


class Kind(NamedTuple):
    """What tells a client's order from those of others.

    Attributes:
        region: the client's, once there are any.
        size: of the model that it trains.
        reached: the regions whose experts it downloads.
        placed: whether it knows where its region meets others.
    """

    region: int
    size: Size
    reached: tuple[int, ...] = ()
    placed: bool = False


class RoundLostError(RuntimeError):
    """Nobody's reply could be used, or too many were refused: the run cannot go on."""


class ManifoldStrategy(Strategy):
    """Encoder, prior, charting, experts, coupling, evidence, head, router, composition, novelty, and what it spawns.

    Args:
        clients: size of the federation; the first round waits for as many nodes.
        observe: called after each round.
        start: prior and encoders to keep as they are, from `start_of` another run.
    """

    def __init__(
        self,
        scenario: Scenario,
        task: Task,
        clients: int,
        observe: Observer = lambda record, state: None,
        start: ServerState | None = None,
    ) -> None:
        self.scenario, self.task, self.clients, self._observe = scenario, task, clients, observe
        self.steps = schedule(scenario, task, begun=start is not None)
        self.state = start or initial(scenario, task)
        self.history: list[RoundRecord] = []
        self._node_of: dict[int, int] = {}
        self._versions: dict[int, ServerState] = {}  # by round: those from which clients at work have begun
        self._evidenced: set[int] = set()
        self._placed: set[int] = set()  # clients that know where their region meets others
        self._asked, self._empty = 0, 0
        self._began = time.monotonic()

    def summary(self) -> None:
        """Nothing beyond the configuration, which every run keeps."""

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the rounds over a grid whose rounds end when the scenario's pacing says so."""
        self._grid = Waiting(grid)
        return super().start(
            self._grid, initial_arrays, num_rounds, timeout, train_config, evaluate_config, evaluate_fn
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        self._began, step = time.monotonic(), self.steps[server_round - 1]
        if self._idle(step):
            return []
        pacing = self.pacing(step.stage)
        if step.round == 0:
            self._grid.abandon()
        at_work = self._grid.at_work.values()
        begun = {int(str(message.content.config_records[CONFIG]["round"])) for message in at_work}
        self._versions = {round_: self._versions[round_] for round_ in begun} | {step.round: self.state}
        busy = {message.metadata.dst_node_id for message in at_work}
        numbers, strangers = self._here(step, busy)
        while not (numbers or strangers or busy):
            self._grid.rest()
            numbers, strangers = self._here(step, busy)
        if step.stage not in EVERYBODY and self.scenario.fraction < 1:
            wanted = max(1, round(self.scenario.fraction * (len(numbers) + len(busy))))
            asked = min(len(numbers), max(0, pacing.at_work(wanted) - len(busy)))
            draw = generator(self.scenario.seed, "cohort", str(step.stage), step.round)
            numbers = sorted(draw.choice(numbers, asked, replace=False).tolist())
        else:
            wanted = len(numbers) + len(strangers) + len(busy)
        kind_of = {self._node_of[n]: self._kind(step, n) for n in numbers}
        kind_of |= dict.fromkeys(strangers, Kind(EVERYWHERE, FULL))
        self._asked = len(kind_of)
        self._grid.enough = pacing.enough(wanted) if pacing.enough(wanted) < self._asked + len(busy) else None
        self._grid.deadline, self._grid.keeps = pacing.deadline, pacing.buffers
        order_of = {kind: self._order(step, kind) for kind in dict.fromkeys(kind_of.values())}
        return self._messages({node: order_of[kind] for node, kind in kind_of.items()})

    def pacing(self, stage: Stage) -> PacingRule:
        """How long the rounds of a stage wait: what is asked of everybody once waits for everybody, and only the
        large models are trained without waiting."""
        if stage in EVERYBODY or (self.scenario.pacing.buffers and stage not in ELASTIC):
            return Synchronous()
        return self.scenario.pacing

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        step, accepted, refused = self.steps[server_round - 1], [], []
        for reply in replies:
            try:
                contribution, nodes = self._accepted(reply, step)
                accepted.append(contribution)
                self._node_of.update(zip(contribution.clients, nodes, strict=True))
            except (ValueError, KeyError) as error:
                refused.append(str(error))
        if not self._idle(step):
            self._check_failures(step, len(accepted), refused)
        total = Contribution.total(sorted(accepted, key=lambda contribution: contribution.clients))
        if step.stage is Stage.EVIDENCE:
            self._evidenced = set(total.clients)
        if step.stage is Stage.COUPLING:
            self._placed.update(total.clients)
        before = self.state
        self.state = self._advance(step, total)
        loss, visited, multiplies = trained_sums(total)
        silent = 0 if self._grid.keeps else max(0, self._asked - len(total.clients) - len(refused))
        record = RoundRecord(
            server_round,
            step.stage,
            len(total.clients),
            tuple(refused),
            loss,
            visited,
            multiplies,
            residual=_residual(before, self.state, step.stage),
            seconds=time.monotonic() - self._began,
            silent=silent,
            clock=self._grid.clock,
        )
        self.history.append(record)
        self._observe(record, self.state)
        return None, None

    def _check_failures(self, step: Step, accepted: int, refused: list[str]) -> None:
        """Name the refused in the log, and end the run where too few are left or too many are refused."""
        where, limit = f"{step.stage} round {step.round + 1}", self.scenario.max_failures
        for cause in refused:
            LOG.warning("%s: refused, %s", where, cause)
        self._empty = 0 if accepted else self._empty + 1
        if not accepted and (refused or step.stage not in TRAINED or self._empty > PATIENCE):
            cause = refused[0] if refused else "no client answered in time"
            raise RoundLostError(f"{where}: no usable reply of {len(refused)}; {cause}")
        if limit is not None and len(refused) > limit:
            raise RoundLostError(f"{where}: {len(refused)} replies refused, max_failures={limit}; {refused[0]}")

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        return None

    def _idle(self, step: Step) -> bool:
        """Whether a round has nothing to do, since no region was spawned."""
        return step.stage is Stage.GROWTH and not self.state.pioneers

    def _here(self, step: Step, busy: set[int]) -> tuple[list[int], list[int]]:
        """Clients that are online and idle, and, if the stage asks them, nodes of which nothing is known yet."""
        online = self._grid.get_node_ids()
        there = set(online) - busy
        known = sorted(number for number in self._able(step.stage) if self._node_of[number] in there)
        seen = set(self._node_of.values()) if step.stage in UNCHARTED else there
        return known, [node for node in online if node not in seen and node in there]

    def _able(self, stage: Stage) -> Collection[int]:
        """The clients that can serve a stage, for what they have done before."""
        if stage is Stage.EVIDENCE:
            return self.state.reached.keys()
        if stage is Stage.GROWTH:
            return self.state.pioneers
        return self._evidenced if stage in EVIDENCED else self._node_of.keys()

    def _kind(self, step: Step, number: int) -> Kind:
        """What tells a client's order from those of others."""
        region = self.state.region_of_client[number] if self.state.region_of_client else EVERYWHERE
        region = len(self.state.experts) - 1 if step.stage is Stage.GROWTH else region
        size = self.scenario.sizes.of(number, self.scenario.seed) if step.stage in ELASTIC else FULL
        reached = self.state.reached[number] if step.stage is Stage.EVIDENCE else ()
        return Kind(region, size, reached, placed=step.stage is Stage.COUPLING and number in self._placed)

    def _order(self, step: Step, kind: Kind) -> Order:
        """What this round asks of the clients of one kind."""
        state, scenario = self.state, self.scenario
        tensors: dict[str, Tensor] = {}
        settings: dict[str, float] = {"region": kind.region, "width": kind.size.width, "depth": kind.size.depth}
        match step.stage:
            case Stage.PRIOR:
                cut = scenario.model.slice(state.prior.parameters, self.task, kind.size)
                tensors = prefixed("model", cut) | self._calibration()
                settings |= {"learning_rate": scenario.prior.learning_rate, "region": EVERYWHERE}
            case Stage.ENCODER:
                tensors = prior_tensors(state, scenario)
            case Stage.CHARTING:
                tensors = encoder_tensors(state, scenario)
            case Stage.CHOICE:
                tensors = candidate_tensors(state, scenario)
            case Stage.EXPERTS | Stage.GROWTH:
                tensors = prefixed("model", self._cut(kind.region, kind.size).tensors())
                settings["learning_rate"] = scenario.experts.learning_rate
            case Stage.COUPLING:
                at_size = partial(self._cut, size=kind.size)
                tensors = prefixed("model", at_size(kind.region).tensors())
                tensors |= coupling_tensors(state, scenario, kind.region, at_size, kind.placed)
                settings |= {"learning_rate": scenario.experts.learning_rate, "before": step.before}
                settings |= {"strength": scenario.coupling.strength_at(step.share), "encoder": self._encoder()}
            case Stage.REACH | Stage.SPAWN:
                tensors, settings["regions"] = chart_tensors(state, scenario) | state.known, len(state.experts)
                settings["encoder"] = self._encoder()
            case Stage.EVIDENCE:
                tensors, settings["regions"] = evidence_tensors(state, kind.reached), len(state.experts)
            case Stage.HEAD:
                tensors = prefixed("model", state.head) | self._calibration()
            case Stage.ROUTER:
                alone = state.region_of_client.count(kind.region) == 1 and len(state.experts) > 1
                tensors, settings["mixloo"] = prefixed("model", state.router), scenario.router.mixloo * alone
            case Stage.COMPOSITION | Stage.NOVELTY:
                settings |= state.composition
                tensors = prefixed("router", state.router) | prefixed("head", state.head) | state.labels
        return Order(step.stage, step.round, step.progress, scenario.seed, settings, tensors)

    def _calibration(self) -> dict[str, Tensor]:
        """The classes' counts, for clients that calibrate their losses."""
        return self.state.labels if self.scenario.calibrated else {}

    def _cut(self, region: int, size: Size) -> Expert:
        """A region's expert at a size."""
        expert = self.state.expert(region)
        family, own = specialised(self.scenario.model, self.task, expert.outputs, expert.members)
        return Expert(family.slice(expert.parameters, own, size), expert.classes)

    def _encoder(self) -> int:
        """The number of the chosen encoder among those in question."""
        assert self.state.encoder is not None
        return self.scenario.encoders.index(self.state.encoder.rule)

    def _messages(self, orders: dict[int, Order]) -> list[Message]:
        """One message a node; nodes with the same order share its body."""
        different = {id(order): order for order in orders.values()}
        bodies = {key: order.to_record() for key, order in different.items()}
        return [Message(bodies[id(order)], node, ACTION) for node, order in orders.items()]

    def _accepted(self, reply: Message, step: Step) -> tuple[Contribution, tuple[int, ...]]:
        """The reply's contribution, and the node of each of its clients.

        Raises:
            ValueError: an error reply, a stale one, or sums that do not fit what was asked.
        """
        if reply.has_error():
            raise ValueError(reply.error.reason or f"error {reply.error.code}")
        contribution, nodes, round_ = read_contribution(reply.content, step.stage, self._versions)
        if not all(0 <= number < self.clients for number in contribution.clients):
            raise ValueError(f"client {contribution.clients[0]}: not of this federation of {self.clients}")
        check(contribution, step.stage, self.state, self.scenario, self.task)
        if round_ == step.round:
            return contribution, nodes
        began, now = (partial(self._start, step.stage, state) for state in (self._versions[round_], self.state))
        return caught_up(contribution, began, now, self.pacing(step.stage).weight(step.round - round_)), nodes

    def _start(self, stage: Stage, state: ServerState, region: int) -> Parameters:
        """The model that clients of a region begin from in a state."""
        return (state.prior if stage is Stage.PRIOR else state.experts[region]).parameters

    def _advance(self, step: Step, total: Contribution) -> ServerState:
        """The next state from one round's sums."""
        state, scenario = self.state, self.scenario
        everywhere = total.everywhere()
        match step.stage:
            case Stage.CENSUS:
                return replace(state, labels={LABELS: everywhere[LABELS]} if self.task.classifies else {})
            case Stage.PRIOR:
                return replace(state, prior=self._aggregated(state.prior, everywhere))
            case Stage.ENCODER:
                trunk = trunk_of(scenario.model, state.prior.parameters)
                fits = [rule.fit(under(str(number), everywhere)) for number, rule in enumerate(scenario.encoders)]
                pairs = zip(scenario.encoders, fits, strict=True)
                return replace(state, encoders=tuple(Encoder(rule, weights, trunk) for rule, weights in pairs))
            case Stage.CHARTING:
                found = tuple(
                    Charted.of(encoder, self._charts(total, number), scenario)
                    for number, encoder in enumerate(state.encoders)
                )
                if len(found) == 1:
                    return settled(state, found[0], scenario, self.task)
                return replace(state, candidates=found)
            case Stage.CHOICE:
                best = int(everywhere["gain"].amax(1).argmax())
                return settled(state, state.candidates[best], scenario, self.task)
            case Stage.EXPERTS | Stage.COUPLING | Stage.GROWTH:
                experts = [
                    self._aggregated(model, total.sums[region]) if region in total.sums else model
                    for region, model in enumerate(state.experts)
                ]
                return replace(state, experts=tuple(experts))
            case Stage.REACH:
                shares = {number: sums["share"] for number, sums in total.sums.items()}
                return replace(state, reached={number: self._reached(number, own) for number, own in shares.items()})
            case Stage.HEAD:
                return replace(state, head=coverage_mean(everywhere, state.head))
            case Stage.ROUTER:
                return replace(state, router=coverage_mean(everywhere, state.router))
            case Stage.COMPOSITION:
                parts = usable(scenario.composition.parts, self.task)
                options = candidates(parts, scenario.composition.weights, self.task)
                return replace(state, composition=chosen(options, everywhere, scenario.composition.gain))
            case Stage.NOVELTY:
                return self._judged(everywhere)
            case Stage.SPAWN:
                novel = {client: Chart.from_sums(total.sums.get(client, {})) for client in total.clients}
                return spawned(state, {n: chart for n, chart in novel.items() if chart.components}, scenario, self.task)
        return state

    def _judged(self, sums: Parameters) -> ServerState:
        """How far the regions reach, how sure the answers are, and what is made of context."""
        scenario, known = self.scenario, sums["count"]
        return replace(
            self.state,
            novelty_threshold=novelty_threshold(sums, scenario.novelty.quantile),
            known={KNOWN: known},
            temperature=fitted_temperature(sums["temperature"]) if self.task.classifies else 1.0,
            context=chosen_context(sums["context"], float(known.sum()), scenario.composition.gain, self.task),
        )

    def _reached(self, client: int, share: Tensor) -> tuple[int, ...]:
        """The regions whose experts a client downloads: its own, and those that its samples reach."""
        own = self.state.region_of_client[client]
        return tuple(r for r, part in enumerate(share.tolist()) if r == own or part >= self.scenario.router.reach)

    def _charts(self, total: Contribution, encoder: int) -> tuple[Chart, ...]:
        """Every client's chart under one of the encoders; an empty one of who sent none."""
        sums = (total.sums.get(number, {}) for number in range(self.clients))
        return tuple(Chart.from_sums(under(str(encoder), own)) for own in sums)

    def _aggregated(self, model: Model, sums: Parameters) -> Model:
        variance = residual_variance(sums, self.task)
        rule, parameters = self.scenario.aggregation, model.parameters
        return Model(*rule.apply(model.rule, parameters, sums), model.variance if variance is None else variance)


def _residual(before: ServerState, after: ServerState, stage: Stage) -> float | None:
    """||Phi(theta) - theta|| / ||theta|| over all coordinates that the stage trains (eq. 23)."""
    if stage is Stage.PRIOR:
        pairs = [(before.prior.parameters, after.prior.parameters)]
    elif stage in (Stage.EXPERTS, Stage.COUPLING, Stage.GROWTH):
        pairs = [(old.parameters, new.parameters) for old, new in zip(before.experts, after.experts, strict=True)]
    else:
        return None
    moved = sum(float((new[name] - old[name]).double().square().sum()) for old, new in pairs for name in old)
    size = sum(float(tensor.double().square().sum()) for old, _ in pairs for tensor in old.values())
    return float(torch.tensor(moved / max(size, 1e-30)).sqrt())
