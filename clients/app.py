"""The Flower ClientApp: decode orders, train a cohort, encode contributions. One client is a cohort of one."""

from collections.abc import Sequence

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.member import Member
from clients.stages import STAGES
from clients.stages.training import train_models
from clients.training import learning_rate
from federation.models import ElasticFamily
from federation.records import ACTION, ARRAYS, CONFIG, Order, contribution_record, from_arrays, to_arrays
from federation.scenario import Opened, open_run

MEMORY = "memory"

app = ClientApp()


@app.train(ACTION.split(".")[1])
def contribute(message: Message, context: Context) -> Message:
    """Answer one order of the server's strategy."""
    return contribute_cohort([message], [context])[0]


@app.train()
def fit(message: Message, context: Context) -> Message:
    """Train one model for Flower's own strategies."""
    return fit_cohort([message], [context])[0]


def serve_cohort(messages: Sequence[Message], contexts: Sequence[Context]) -> list[Message]:
    """One reply a message, in order. All messages are of one type, stage and round; contexts name the clients."""
    ours = messages[0].metadata.message_type == ACTION
    return contribute_cohort(messages, contexts) if ours else fit_cohort(messages, contexts)


def contribute_cohort(messages: Sequence[Message], contexts: Sequence[Context]) -> list[Message]:
    """Answer orders of one stage; what a client remembers goes into its own context."""
    opened = open_run(contexts[0].run_config)
    orders = _decoded(messages)
    cohort = [_member(opened, context) for context in contexts]
    known = [set(member.memory) for member in cohort]
    contributions = STAGES[orders[0].stage](orders, cohort, opened.scenario, opened.federation().task)
    for member, context, names in zip(cohort, contexts, known, strict=True):
        if set(member.memory) != names:
            context.state[MEMORY] = to_arrays(member.memory)
    return [
        Message(contribution_record(contribution, order.stage, order.round), reply_to=message)
        for message, order, contribution in zip(messages, orders, contributions, strict=True)
    ]


def fit_cohort(messages: Sequence[Message], contexts: Sequence[Context]) -> list[Message]:
    """Train models that all start from the same arrays: arrays in, arrays and `num-examples` out."""
    opened, content = open_run(contexts[0].run_config), messages[0].content
    config: ConfigRecord = content.config_records[CONFIG]
    cohort, round_ = [_member(opened, context) for context in contexts], int(str(config["server-round"]))
    local = opened.scenario.local.model_copy(update={"learning_rate": float(str(config["learning-rate"]))})
    trained = train_models(
        [from_arrays(content.array_records[ARRAYS])] * len(cohort),
        [member.data.train for member in cohort],
        ElasticFamily.model_validate_json(str(config["model"])),
        opened.federation().task,
        local,
        learning_rate(local, (round_ - 1) / int(str(config["rounds"]))),
        opened.scenario.seed,
        [("fit", round_, member.number) for member in cohort],
        proximal=float(str(config.get("proximal-mu", 0.0))),
    )
    replies = []
    for index, (message, member) in enumerate(zip(messages, cohort, strict=True)):
        visited = {"loss": float(trained.loss[index]), "visited": int(trained.visited[index])}
        arrays = to_arrays({name: tensor[index] for name, tensor in trained.parameters.items()})
        metrics = MetricRecord({"num-examples": len(member.data.train), **visited})
        replies.append(Message(RecordDict({ARRAYS: arrays, "metrics": metrics}), reply_to=message))
    return replies


def _decoded(messages: Sequence[Message]) -> list[Order]:
    """Orders of messages; a body that several share is read once."""
    bodies = {id(message.content): message.content for message in messages}
    orders = {key: Order.from_record(content) for key, content in bodies.items()}
    return [orders[id(message.content)] for message in messages]


def _member(opened: Opened, context: Context) -> Member:
    number = int(context.node_config["partition-id"])
    clients = opened.federation().clients
    if not 0 <= number < len(clients):
        raise ValueError(f"partition-id {number} of a federation of {len(clients)} clients")
    memory = from_arrays(context.state.array_records[MEMORY]) if MEMORY in context.state.array_records else {}
    return Member(number, clients[number], memory)
