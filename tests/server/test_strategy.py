"""The rounds of the server: what it asks, what it refuses, and what it makes of the sums."""

import re
from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from clients.app import app
from federation.data.samples import Samples
from federation.engine import SerialGrid
from federation.engine.local import refusal
from federation.opening import open_run, run_config
from federation.phases import named
from federation.wire.contribution import EVERYWHERE, Weighed
from federation.wire.records import ARRAYS, CONFIG, from_arrays, to_arrays
from federation.world.confidence import calibration_sums, fitted_calibration
from federation.world.design import NOTHING_NOVEL
from federation.world.joining import joined
from scenarios.runs.engines import HERE
from server.advancing import RoundLostError
from server.app import federate
from server.phases.contract import Now, Step
from server.schedule import schedule
from server.state import initial, start_of
from server.strategy import ManifoldStrategy
from server.validation import check_counts, check_sender
from tests.small import ROUNDS

CONFIGURATION = run_config("digits", ROUNDS, 0)
CULPRIT = 3


class Faulty(SerialGrid):
    """The serial grid with one client whose replies are spoilt from the first prior round on."""

    def __init__(self, spoil):
        opened = open_run(CONFIGURATION)
        super().__init__(app, len(opened.federation().clients), CONFIGURATION)
        self._spoil = spoil

    def serve(self, messages):
        for message, reply in zip(messages, super().serve(messages), strict=True):
            late = message.content.config_records[CONFIG]["phase"] != "census"
            if late and message.metadata.dst_node_id == CULPRIT + 1 and reply.has_content():
                self._spoil(reply)
            yield reply


def run(grid):
    opened = open_run(CONFIGURATION)
    federation = opened.federation()
    return federate(grid, opened.scenario, federation.task, len(federation.clients)), federation


def nan(reply):
    record = reply.content.array_records[ARRAYS]
    for name, tensor in from_arrays(record).items():
        record[name] = Array(torch.full_like(tensor.double(), float("nan")).numpy())


def stale(reply):
    reply.content.config_records[CONFIG]["round"] = 99


def empty(reply):
    reply.content = RecordDict()


def wrong_shape(reply):
    record = reply.content.array_records[ARRAYS]
    for name in from_arrays(record):
        record[name] = Array(torch.ones(7, 7, 7).numpy())


def somebody_else(reply):
    reply.content.config_records[CONFIG]["clients"] = [1_000]


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (nan, "NaN or infinity"),
        (stale, "stale reply"),
        (empty, "lacks its arrays"),
        (wrong_shape, "expected"),
        (somebody_else, "not of this federation"),
    ],
)
def test_a_spoilt_reply_is_refused_named_and_never_stops_a_round(spoil, cause):
    outcome, federation = run(Faulty(spoil))
    census, *rounds = outcome.history
    assert all(record.answered == len(federation.clients) - 1 for record in rounds)
    assert all(len(record.refused) == 1 and cause in record.refused[0] for record in rounds[:3])
    assert not any(record.refused for record in (census, *rounds[3:]))  # after three in a row it is asked no more
    assert bool(outcome.world.predict(federation.union_test.inputs).isfinite().all())


def test_the_refused_are_named_in_the_log(caplog):
    run(Faulty(nan))
    assert "prior round 1: refused, client 3: NaN or infinity in its sums" in caplog.messages
    assert [said for said in caplog.messages if "asked no more, after 3 refused replies in a row: client 3" in said]


@pytest.mark.parametrize(("limit", "ends"), [(0, True), (1, False)])
def test_past_max_failures_the_run_ends_and_says_why(limit, ends):
    opened = open_run(CONFIGURATION)
    scenario, federation = opened.scenario.model_copy(update={"max_failures": limit}), opened.federation()
    strategy = ManifoldStrategy(scenario, federation.task, len(federation.clients))
    grid = Faulty(nan)
    if not ends:
        strategy.start(grid, ArrayRecord(), num_rounds=2)
        assert [len(record.refused) for record in strategy.history] == [0, 1]
        return
    with pytest.raises(RoundLostError, match=r"prior round 1: 1 replies refused, max_failures=0; client 3: NaN"):
        strategy.start(grid, ArrayRecord(), num_rounds=2)


class Misplaced(SerialGrid):
    """Some nodes are told of a partition that does not exist."""

    def __init__(self, partition_of):
        super().__init__(app, ROUNDS["partition.clients"], CONFIGURATION)
        self._partition_of = partition_of

    def context(self, node):
        context = super().context(node)
        context.node_config["partition-id"] = self._partition_of.get(node, node - 1)
        return context


def test_a_client_that_raises_is_refused_by_name():
    outcome, _ = run_in(Misplaced({CULPRIT + 1: 10_000}))
    assert "partition-id 10000" in outcome.history[0].refused[0]
    assert outcome.history[0].answered == ROUNDS["partition.clients"] - 1


def run_in(grid):
    opened = open_run(CONFIGURATION)
    federation = opened.federation()
    return federate(grid, opened.scenario, federation.task, len(federation.clients)), federation


def tiered(spoil, **sizes):
    """A federation in which most clients train a part of the model."""
    config = run_config("digits", ROUNDS | {"sizes.kind": "tiers"} | sizes, 0)
    opened = open_run(config)
    grid = Faulty(spoil)
    grid.run_config = config
    return federate(grid, opened.scenario, opened.federation().task, ROUNDS["partition.clients"]), opened.scenario


@pytest.mark.parametrize("ordered_dropout", [False, True])
def test_clients_are_sent_their_own_size_and_steps_cost_what_that_size_costs(ordered_dropout):
    outcome, scenario = tiered(lambda reply: None, **{"sizes.ordered_dropout": ordered_dropout})
    prior = next(record for record in outcome.history if record.phase == "prior")
    task, federation = outcome.world.design.task, open_run(CONFIGURATION).federation()
    sizes = [scenario.sizes.of(number, 0) for number in range(len(federation.clients))]
    of = {size: scenario.model.multiplies(task, size) for size in scenario.sizes.sizes}
    smaller = {size: [of[small] for small in of if small.width < size.width] for size in of}
    cost = [of[size] + ordered_dropout * sum(smaller[size]) / (1 + len(smaller[size])) for size in sizes]
    assert len(set(cost)) > 1
    assert prior.multiplies == sum(c * len(client.train) for c, client in zip(cost, federation.clients, strict=True))
    assert prior.refused == ()


def test_a_model_of_another_size_than_was_sent_is_refused():
    outcome, scenario = tiered(halved)
    assert scenario.sizes.of(CULPRIT, 0).width < 1
    refused = [cause for record in outcome.history for cause in record.refused]
    assert len(refused) == 3
    assert all("client 3: " in cause and "expected" in cause for cause in refused)


def halved(reply):
    record = reply.content.array_records[ARRAYS]
    for name, tensor in from_arrays(record).items():
        record[name] = Array(tensor[..., : max(1, tensor.shape[-1] // 2)].numpy() if tensor.dim() else tensor.numpy())


class Late(SerialGrid):
    """One node is not there in the first round."""

    def serve(self, messages):
        for message, reply in zip(messages, super().serve(messages), strict=True):
            first = message.content.config_records[CONFIG]["phase"] == "census"
            if not (first and message.metadata.dst_node_id == CULPRIT + 1):
                yield reply


def test_a_reply_that_comes_twice_counts_once():
    class Twice(SerialGrid):
        """Each first reply of a round comes again at its end."""

        def send_and_receive(self, messages, *, timeout=None):
            replies = list(super().send_and_receive(messages, timeout=timeout))
            return [*replies, *replies[:1]]

    clients = len(open_run(CONFIGURATION).federation().clients)
    (twice, _), (once, _) = run(Twice(app, clients, CONFIGURATION)), run(SerialGrid(app, clients, CONFIGURATION))
    assert all(record.refused == ("client 0: answers twice",) for record in twice.history)
    assert all(record.answered == clients for record in twice.history)
    for name, tensor in once.world.tensors().items():
        assert torch.equal(twice.world.tensors()[name], tensor)


def test_a_client_that_missed_the_first_round_is_taken_in_later():
    outcome, federation = run_in(Late(app, ROUNDS["partition.clients"], CONFIGURATION))
    everybody = len(federation.clients)
    assert [record.answered for record in outcome.history] == [everybody - 1] + [everybody] * 11
    assert len(outcome.world.design.region_of_client) == everybody


def test_a_round_without_any_usable_reply_ends_the_run_and_says_why():
    grid = Misplaced({node + 1: -5 for node in range(ROUNDS["partition.clients"])})
    with pytest.raises(RoundLostError, match=r"census round 1: no usable reply of 5; client 0: ValueError"):
        run_in(grid)


def test_the_phases_come_in_the_order_of_the_method():
    opened = open_run(CONFIGURATION)
    steps = schedule(opened.scenario, opened.federation().task)
    assert [step.phase.name for step in steps] == [
        "census", "prior", "prior", "encoder", "charting", "experts", "reach", "evidence", "head", "router",
        "composition", "novelty",
    ]  # fmt: skip
    assert [step.progress for step in steps if step.phase.name == "prior"] == [0.0, 0.5]


def test_a_fraction_of_the_clients_is_a_seeded_sample():
    config = run_config("digits", ROUNDS | {"fraction": 0.4}, 0)
    opened = open_run(config)
    federation = opened.federation()
    asked = []
    for _ in range(2):
        grid = SerialGrid(app, len(federation.clients), config)
        history = federate(grid, opened.scenario, federation.task, len(federation.clients)).history
        asked.append([record.answered for record in history])
    assert asked[0] == asked[1]
    assert asked[0] == [5, 2, 2, 5, 5, 2, 5, 5, 2, 2, 5, 5]


def test_the_residual_shrinks_as_the_prior_comes_to_rest():
    config = run_config("digits", ROUNDS | {"prior.rounds": 12, "local.learning_rate": 0.02}, 0)
    opened = open_run(config)
    federation = opened.federation()
    grid = SerialGrid(app, len(federation.clients), config)
    history = federate(grid, opened.scenario, federation.task, len(federation.clients)).history
    residuals = [record.residual for record in history if record.phase == "prior"]
    assert residuals[-1] < residuals[0]


def test_evaluation_is_left_to_whoever_holds_the_test_set():
    opened = open_run(CONFIGURATION)
    strategy = ManifoldStrategy(opened.scenario, opened.federation().task, 5)
    grid = SerialGrid(app, 5, CONFIGURATION)
    assert strategy.configure_evaluate(1, ArrayRecord(), ConfigRecord(), grid) == []
    assert strategy.aggregate_evaluate(1, []) is None


BLIND = {"kind": "principal_components", "dimensions": 1, "features": {"kind": "random_features", "count": 1}}
TRUNK = {"kind": "principal_components", "dimensions": 8, "features": {"kind": "prior_trunk"}}


@pytest.mark.parametrize(("encoder", "other", "chosen"), [(BLIND, TRUNK, "prior_trunk"), (TRUNK, BLIND, "prior_trunk")])
def test_the_encoder_whose_charts_tell_held_out_samples_best_is_taken(encoder, other, chosen):
    config = run_config("digits", ROUNDS | {"encoder": encoder, "other_encoders": [other]}, 0)
    opened = open_run(config)
    federation = opened.federation()
    grid = SerialGrid(app, len(federation.clients), config)
    outcome = federate(grid, opened.scenario, federation.task, len(federation.clients))
    assert outcome.world.design.encoder.features.kind() == chosen
    assert outcome.world.predict(federation.union_test.inputs).isfinite().all()
    assert outcome.world.cost({"head": 1.0}).active_parameters > outcome.world.design.family.parameters(federation.task)


class Watched(SerialGrid):
    """Notes which experts each client downloads."""

    def serve(self, messages):
        self.downloads = getattr(self, "downloads", {})
        for message in messages:
            if message.content.config_records[CONFIG]["phase"] == "evidence":
                names = (name.split("/") for name in from_arrays(message.content.array_records[ARRAYS]))
                regions = {int(parts[1]) for parts in names if parts[0] == "experts"}
                self.downloads[message.metadata.dst_node_id - 1] = regions
        return super().serve(messages)


def downloads(reach):
    config = run_config("digits", ROUNDS | {"router.reach": reach}, 0)
    grid = Watched(app, ROUNDS["partition.clients"], config)
    opened = open_run(config)
    outcome = federate(grid, opened.scenario, opened.federation().task, ROUNDS["partition.clients"])
    return grid, outcome.world


def test_a_client_downloads_its_own_expert_and_those_that_its_samples_reach():
    everything, world = downloads(0.0)
    assert all(regions == set(range(5)) for regions in everything.downloads.values())
    alone, _ = downloads(0.9)
    assert alone.downloads == {client: {region} for client, region in enumerate(world.design.region_of_client)}
    few, _ = downloads(0.05)
    assert alone.traffic.down < few.traffic.down < everything.traffic.down
    assert all(client in regions for client, regions in few.downloads.items())


# --- confidence, context, and a shared beginning ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished():
    """A run in this process: its outcome, its federation, and what it began from."""
    opened, begun = open_run(CONFIGURATION), []
    federation = opened.federation()

    def observe(record, state):
        if record.phase == "encoder":
            begun.append(start_of(state))

    def again(start=None):
        grid = HERE.fresh(CONFIGURATION)
        return federate(grid, opened.scenario, federation.task, len(federation.clients), observe, start)

    return again(), federation, begun[0], again


def test_the_calibration_is_the_best_for_all_held_out_samples_at_once(finished):
    outcome, federation, _, _ = finished
    held_out = Samples.concatenated([client.held_out for client in federation.clients])
    design = outcome.world.design.model_copy(update={"novelty_threshold": NOTHING_NOVEL})
    answers = replace(outcome.world, design=design).uncalibrated().predict(held_out.inputs)
    found = fitted_calibration(calibration_sums(answers, held_out.targets), federation.task.outputs)
    assert outcome.world.design.calibration == found


def test_a_world_model_knows_how_often_the_federation_meets_each_class(finished):
    outcome, federation, _, _ = finished
    targets = torch.cat([client.train.targets for client in federation.clients])
    counted = torch.bincount(targets, minlength=10) + 1.0
    assert outcome.world.design.labels == pytest.approx((counted / counted.sum()).tolist())


def test_under_label_skew_the_federation_finds_that_context_pays(finished):
    outcome, federation, _, _ = finished
    world, union = outcome.world, federation.union_test
    alone, together = (
        federation.task.score(world.predict(union.inputs, context), union.targets)
        for context in (None, federation.union_group)
    )
    assert world.design.context.prior is not None
    assert together > alone


def test_a_run_may_begin_from_another_s_prior_and_encoders(finished):
    outcome, federation, start, again = finished
    second = again(start)
    assert [record.phase for record in second.history if record.phase in ("prior", "encoder")] == []
    assert all(torch.equal(second.world.prior[name], tensor) for name, tensor in outcome.world.prior.items())
    queries = federation.union_test.inputs
    assert torch.equal(second.world.predict(queries), outcome.world.predict(queries))
    assert joined(outcome.world, second.world).design.regions == 2 * outcome.world.design.regions


class Absent(SerialGrid):
    """Clients 0 and 1 crash in the first round of the experts, as often as is said."""

    def __init__(self, config, crashes):
        super().__init__(app, 5, config)
        self._crashes = crashes

    def serve(self, messages):
        for message, reply in zip(messages, super().serve(messages), strict=True):
            config = message.content.config_records[CONFIG]
            lost = (config["phase"], config["round"]) == ("experts", 0) and message.metadata.dst_node_id <= 2
            self._crashes -= lost
            yield refusal(message, "crashed") if lost and self._crashes >= 0 else reply


def with_quorum(quorum, crashes):
    config = run_config("digits", ROUNDS | {"quorum": quorum}, 0)
    opened = open_run(config)
    return federate(Absent(config, crashes), opened.scenario, opened.federation().task, 5)


def experts_round(outcome):
    return next(record for record in outcome.history if record.phase == "experts")


def test_a_round_goes_on_with_those_who_answered_if_the_quorum_holds():
    record = experts_round(with_quorum(0.6, crashes=2))
    assert (record.answered, record.refused) == (3, ("crashed", "crashed"))


def test_without_the_quorum_those_who_are_missing_are_asked_again_and_nothing_is_lost():
    record = experts_round(with_quorum(0.8, crashes=2))
    assert (record.answered, record.refused, record.silent) == (5, (), 0)
    whole = with_quorum(0.8, crashes=0)
    again = with_quorum(0.8, crashes=2)
    for name, tensor in whole.world.tensors().items():
        torch.testing.assert_close(again.world.tensors()[name], tensor, rtol=1e-4, atol=1e-5)


def test_those_who_are_asked_again_are_not_waited_for_longer_than_others():
    waited = []

    class Timed(Absent):
        def send_and_receive(self, messages, *, timeout=None):
            waited.append(timeout)
            return super().send_and_receive(messages, timeout=timeout)

    config = run_config("digits", ROUNDS | {"quorum": 0.8}, 0)
    opened = open_run(config)
    federate(Timed(config, crashes=2), opened.scenario, opened.federation().task, 5)
    assert set(waited) == {3600.0}


def test_a_run_stops_where_the_quorum_is_not_to_be_had():
    with pytest.raises(RoundLostError, match="experts round 1: 3 clients answered, the quorum is 4; crashed"):
        with_quorum(0.8, crashes=100)


@pytest.mark.parametrize(
    ("clients", "nodes", "sender", "cause"),
    [
        ([1], [11], 11, ""),
        ([4], [14], 14, ""),
        ([0], [99], 99, ""),  # its node has left
        ([1, 2], [11, 12], 11, "node 11: answers for clients [1, 2] of nodes [11, 12], may for its own"),
        ([2], [12], 11, "node 11: answers for clients [2] of nodes [12], may for its own"),
        ([2], [11], 11, "node 11: answers for client 2, which is node 12's"),
        ([4], [11], 11, "node 11: answers for client 4, but is client 1"),
    ],
)
def test_a_deployed_node_speaks_for_its_own_client_alone(clients, nodes, sender, cause):
    node_of, online = {0: 10, 1: 11, 2: 12}, {11, 12, 14, 99}
    if not cause:
        check_sender(clients, nodes, sender, node_of, online)
        return
    with pytest.raises(ValueError, match=re.escape(cause)):
        check_sender(clients, nodes, sender, node_of, online)


def another_region(reply):
    sums = from_arrays(reply.content.array_records[ARRAYS])
    apart = {name: name.partition("/") for name in sums}
    moved = {f"{int(region) + 1}/{rest}": sums[name] for name, (region, _, rest) in apart.items()}
    reply.content[ARRAYS] = to_arrays(moved)


def unasked(reply):
    record = reply.content.array_records[ARRAYS]
    region = next(iter(from_arrays(record))).partition("/")[0]
    record[f"{region}/metric/visited"] = Array(torch.ones(2).numpy())


def scaled(weight, model):
    def spoil(reply):
        record = reply.content.array_records[ARRAYS]
        for name, tensor in from_arrays(record).items():
            if "metric" not in name:
                record[name] = Array((tensor * (weight if "/weight/" in name else model)).numpy())

    return spoil


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (another_region, "may send them of its own alone"),
        (unasked, "metric/visited [2] was not asked for"),
        (scaled(-1.0, -1.0), "holds weights beyond"),
        (scaled(1e9, 1e9), "expected no more than 1e+09"),
        (scaled(1.0, 1e9), "holds weights beyond 1e+06"),
    ],
    ids=["region", "unasked", "negative", "heavy", "large"],
)
def test_what_is_well_formed_but_was_not_asked_for_is_refused(spoil, cause):
    opened = open_run(CONFIGURATION)
    federation = opened.federation()
    strategy = ManifoldStrategy(opened.scenario, federation.task, len(federation.clients))
    strategy.start(Faulty(spoil), ArrayRecord(), num_rounds=2)
    [refused] = strategy.history[1].refused
    assert cause in refused
    assert refused.startswith("client 3: ")


def at_rest(**settings):
    fields = {f"fixed_point.{name}": value for name, value in settings.items()}
    config = run_config("digits", ROUNDS | {"experts.rounds": 12} | fields, 0)
    opened = open_run(config)
    outcome = federate(HERE.grid(5, config), opened.scenario, opened.federation().task, 5)
    return outcome, [record for record in outcome.history if record.phase == "experts"]


def test_regions_at_rest_leave_the_schedule_and_their_experts_stay_as_they_are():
    outcome, rounds = at_rest(residual=0.05, divergence=0.5)
    updates = [record.answered for record in rounds]
    assert updates[0] == 5
    assert updates == sorted(updates, reverse=True)
    assert updates[-1] < 5
    assert [record.answered + record.stable for record in rounds[1:]] == [
        5 + r.stable - p.stable for p, r in pairwise(rounds)
    ]
    for watch in outcome.watches:
        assert watch.rounds < 12 or watch.calm <= 3


def test_a_region_trains_as_if_the_others_had_gone_on():
    stopped, _ = at_rest(residual=0.05, divergence=0.5)
    whole, _ = at_rest(residual=1e-9)
    going_on = [region for region, watch in enumerate(stopped.watches) if watch.rounds == 12]
    assert [watch.rounds for watch in whole.watches] == [12] * 5
    for region in going_on:
        for name, tensor in whole.world.experts[region].parameters.items():
            torch.testing.assert_close(stopped.world.experts[region].parameters[name], tensor, rtol=1e-4, atol=1e-5)


def test_when_all_regions_are_at_rest_nobody_is_asked():
    _, rounds = at_rest(residual=1e9, divergence=1e9, rate=1e9)
    assert [record.answered for record in rounds] == [5] * 4 + [0] * 8  # a divergence takes two rounds
    assert all(record.visited == 0 and record.silent == 0 for record in rounds[4:])


def test_nothing_is_watched_where_no_bound_is_set():
    outcome, rounds = at_rest()
    assert all(record.stable == 0 and record.answered == 5 for record in rounds)
    assert all(watch.divergence == inf for watch in outcome.watches)


def test_a_deployed_client_is_held_to_its_own_census():
    opened = open_run(CONFIGURATION)
    task, model = opened.federation().task, initial(opened.scenario, opened.federation().task).prior.parameters
    now = Now(Step(named("prior")(), 0, 1), initial(opened.scenario, task), opened.scenario, task, 5)

    def weighing(client, weight):
        models = {name: tensor[None] for name, tensor in model.items()}
        return Weighed([client], [EVERYWHERE], models, torch.tensor([weight]), {}).total([0])

    check_counts(weighing(2, 40.0), now, told=40.0)
    with pytest.raises(ValueError, match="client 2: its model weighs 41 samples, its census told 40"):
        check_counts(weighing(2, 41.0), now, told=40.0)
    check_counts(weighing(3, 41.0), now, told=None)  # came later, told none
