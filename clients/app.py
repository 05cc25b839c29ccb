"""The Flower ClientApp: decode orders, train a cohort, encode contributions. One client is a cohort of one."""

import json
from collections.abc import Sequence

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.again import tell_again
from clients.member import LostError, Member, Memory
from clients.model_training import TrainingJob, train_models, weighed
from clients.phases import side
from clients.regions import by_region
from clients.training import Pull
from federation.engine import Asked, Served
from federation.models import ElasticFamily
from federation.opening import Opened, changed, open_run
from federation.phases.census import Census
from federation.tensors import nbytes
from federation.wire.contribution import (
    EVERYWHERE,
    LARGEST,
    WEIGHT,
    Answers,
    ByRegion,
    Contribution,
    Weighed,
    coverage_mean,
)
from federation.wire.records import (
    ACTION,
    ARRAYS,
    CONFIG,
    QUESTION,
    SUMMARY,
    TRAFFIC,
    Order,
    contribution_record,
    forgotten_record,
    read_model,
    to_arrays,
)

MEMORY, CENSUS = "memory", Census().name

app = ClientApp()


@app.train(ACTION.split(".")[1])
def contribute(message: Message, context: Context) -> Message:
    """Answer one order of the server's strategy."""
    opened = open_run(context.run_config)  # first: an order may be of a phase that the scenario's own file defines
    order = Order.from_record(message.content)
    if order.overrides:
        opened = open_run(changed(context.run_config, json.loads(order.overrides)))
    member = _member(opened, int(context.node_config["partition-id"]), context.state)
    try:
        total = _answers([order], [member], opened).total([0])
    except LostError:
        return Message(forgotten_record(member.number), reply_to=message)
    if member.memory.changed:
        context.state[MEMORY] = member.memory.record()
    data = member.data.digest if order.phase == CENSUS else ""
    return Message(contribution_record(total, order.phase, order.round, [context.node_id], data), reply_to=message)


@app.query(QUESTION.split(".")[1])
def summarise(message: Message, context: Context) -> Message:
    """Tell of a site's own raw rows what is needed to prepare those of all sites alike."""
    scenario = open_run(context.run_config).scenario
    if scenario.data.sites is None:
        raise ValueError("there are no sites with rows of their own")
    told = scenario.data.sites.summary(scenario.data.folder, scenario.charts.min_count).model_dump_json()
    config = ConfigRecord({"client": int(context.node_config["partition-id"]), SUMMARY: told})
    return Message(RecordDict({CONFIG: config}), reply_to=message)


@app.train()
def fit(message: Message, context: Context) -> Message:
    """Train one model for Flower's own strategies: arrays in, arrays and `num-examples` out."""
    opened = open_run(context.run_config)
    member = _member(opened, int(context.node_config["partition-id"]), context.state)
    fitted = _fitted(message.content, [member], opened)
    return Message(_mean_record(fitted.total([0]), fitted), reply_to=message)


def serve_cohort(asked: Asked) -> Served:
    """One answer that stands for all members but those whose result is not finite; these are refused.

    All orders are of one phase and round, and all models of one size. If answers may not be merged, each member gives
    its own.
    """
    opened = open_run(asked.run_config)
    cohort = [_member(opened, node - 1, asked.states.get(node)) for node in asked.nodes]
    if asked.message_type == ACTION:
        return _contributions(asked, cohort, opened)
    return _models(asked, cohort, opened)


def _contributions(asked: Asked, cohort: Sequence[Member], opened: Opened) -> Served:
    decoded = [Order.from_record(body) for body in asked.bodies]
    answers, order = _answers([decoded[body] for body in asked.body_of], cohort, opened), decoded[0]
    kept, refused = _sorted_out(asked, answers)
    states = {
        node: RecordDict({MEMORY: member.memory.record()})
        for node, member in zip(asked.nodes, cohort, strict=True)
        if member.memory.changed
    }
    node_of = {member.number: node for node, member in zip(asked.nodes, cohort, strict=True)}

    def answer(members: list[int]) -> RecordDict:
        total = answers.total(members)
        record = contribution_record(total, order.phase, order.round, [node_of[client] for client in total.clients])
        record[TRAFFIC] = ConfigRecord({"upload": answers.nbytes(members)})
        return record

    return Served({asked.nodes[members[0]]: answer(members) for members in _pieces(asked, kept)}, refused, states)


def _models(asked: Asked, cohort: Sequence[Member], opened: Opened) -> Served:
    fitted = _fitted(asked.bodies[0], cohort, opened)
    kept, refused = _sorted_out(asked, fitted)

    def answer(members: list[int]) -> RecordDict:
        record = _mean_record(fitted.total(members), fitted)
        record[TRAFFIC] = ConfigRecord({"upload": len(members) * nbytes(fitted.parameters) // len(cohort)})
        return record

    return Served({asked.nodes[members[0]]: answer(members) for members in _pieces(asked, kept)}, refused)


def _pieces(asked: Asked, kept: list[int]) -> list[list[int]]:
    """The members that share an answer."""
    return ([kept] if kept else []) if asked.merged else [[member] for member in kept]


def _sorted_out(asked: Asked, answers: Answers) -> tuple[list[int], dict[int, str]]:
    """Members whose answer can be used, and the nodes whose answer can not."""
    sound = answers.sound()
    bad = [node for node, good in zip(asked.nodes, sound, strict=True) if not good]
    kept = [member for member, good in enumerate(sound) if good]
    cause = f"NaN, infinity or weights beyond {LARGEST:g} in its result"
    return kept, {node: f"client {node - 1}: {cause}" for node in bad}


def _answers(orders: Sequence[Order], cohort: Sequence[Member], opened: Opened) -> Answers:
    """What the members send in answer to orders of one phase and round."""
    scenario, task = opened.scenario, opened.federation().task
    tell_again(orders, cohort, scenario, task)
    contribute = side(orders[0].phase).contribute
    if not any(order.regions for order in orders):
        return contribute(orders, cohort, scenario, task)
    orders, cohort, rows = by_region(orders, cohort)
    return ByRegion(contribute(orders, cohort, scenario, task), rows)


def _fitted(body: RecordDict, cohort: Sequence[Member], opened: Opened) -> Weighed:
    """Models that all start from the same arrays."""
    config: ConfigRecord = body.config_records[CONFIG]
    round_, rounds = int(str(config["server-round"])), int(str(config["rounds"]))
    local = opened.scenario.local.model_copy(update={"learning_rate": float(str(config["learning-rate"]))})
    family, task = ElasticFamily.model_validate_json(str(config["model"])), opened.federation().task
    clients, samples = [member.number for member in cohort], [member.data.train for member in cohort]
    start, mu = read_model(body.array_records[ARRAYS]), float(str(config.get("proximal-mu", 0.0)))
    rate, seed = local.rate((round_ - 1) / rounds), opened.scenario.seed
    pull = Pull(mu, start) if mu else None
    job = TrainingJob([start] * len(cohort), samples, clients, local, rate, seed, ("fit", round_), pull)
    trained = train_models(job, family, task)
    counts = [len(own) for own in samples]
    return weighed(trained, clients, counts, [EVERYWHERE] * len(cohort), family.multiplies(task))


def _mean_record(total: Contribution, fitted: Weighed) -> RecordDict:
    """The weighted mean of models, as Flower's strategies expect one client's."""
    sums = total.everywhere()
    mean = coverage_mean(sums, {name: stack[0].cpu() for name, stack in fitted.parameters.items()})
    loss = float(sums["metric/loss"]) / max(float(sums["metric/visited"]), 1.0)
    samples = round(float(sums[f"{WEIGHT}/{next(iter(mean))}"]))
    return RecordDict({ARRAYS: to_arrays(mean), "metrics": MetricRecord({"num-examples": samples, "loss": loss})})


def _member(opened: Opened, number: int, state: RecordDict | None) -> Member:
    clients = opened.federation().clients
    if not 0 <= number < len(clients):
        raise ValueError(f"partition-id {number} of a federation of {len(clients)} clients")
    return Member(number, clients[number], Memory(None if state is None else state.array_records.get(MEMORY)))
