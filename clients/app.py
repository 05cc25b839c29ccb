"""The Flower ClientApp: decode orders, train a cohort, encode contributions. One client is a cohort of one."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from clients.member import Member, Memory
from clients.stages import STAGES
from clients.stages.training import train_models
from clients.training import learning_rate
from federation.contribution import Contribution
from federation.models import ElasticFamily
from federation.records import ACTION, ARRAYS, CONFIG, TRAFFIC, Order, contribution_record, read_model, to_arrays
from federation.scenario import Opened, open_run
from federation.tensors import Parameters, nbytes

MEMORY = "memory"

app = ClientApp()


@app.train(ACTION.split(".")[1])
def contribute(message: Message, context: Context) -> Message:
    """Answer one order of the server's strategy."""
    [(order, contribution)] = _contributions([message], [context])
    return Message(contribution_record(contribution, order.stage, order.round, [context.node_id]), reply_to=message)


@app.train()
def fit(message: Message, context: Context) -> Message:
    """Train one model for Flower's own strategies: arrays in, arrays and `num-examples` out."""
    return Message(_mean_record(_fitted([message], [context])), reply_to=message)


def serve_cohort(messages: Sequence[Message], contexts: Sequence[Context]) -> list[Message]:
    """One reply that stands for all clients, and an error reply for each whose result is not finite.

    All messages are of one type, stage and round; contexts name the clients. The reply answers the first message.
    """
    if messages[0].metadata.message_type != ACTION:
        fitted = _fitted(messages, contexts)
        fit_ok = [all(bool(t.isfinite().all()) for t in model.values()) for model, _ in fitted]
        kept = [one for one, good in zip(fitted, fit_ok, strict=True) if good]
        return _replies(messages, contexts, fit_ok, _mean_record(kept) if kept else None, _upload(m for m, _ in kept))
    answered = _contributions(messages, contexts)
    finite = [contribution.finite() for _, contribution in answered]
    node_of = {
        client: context.node_id for (_, c), context in zip(answered, contexts, strict=True) for client in c.clients
    }
    order = answered[0][0]
    usable = [contribution for (_, contribution), good in zip(answered, finite, strict=True) if good]
    upload = _upload(sums for contribution in usable for sums in contribution.sums.values())
    record = _merged_record(usable, order, node_of) if usable else None
    return _replies(messages, contexts, finite, record, upload)


def _merged_record(usable: Sequence[Contribution], order: Order, node_of: Mapping[int, int]) -> RecordDict:
    total = Contribution.total(usable)
    return contribution_record(total, order.stage, order.round, [node_of[client] for client in total.clients])


def _upload(tensors: Iterable[Parameters]) -> int:
    return sum(map(nbytes, tensors))


def _replies(
    messages: Sequence[Message],
    contexts: Sequence[Context],
    finite: Sequence[bool],
    record: RecordDict | None,
    upload: int,
) -> list[Message]:
    """The merged reply, which says how many bytes the clients would have sent one by one, and the error replies."""
    if record is not None:
        record[TRAFFIC] = ConfigRecord({"upload": upload})
    good = [message for message, fine in zip(messages, finite, strict=True) if fine]
    replies = [Message(record, reply_to=good[0])] if good and record is not None else []
    for message, context, fine in zip(messages, contexts, finite, strict=True):
        if not fine:
            cause = f"client {context.node_config['partition-id']}: NaN or infinity in its result"
            replies.append(Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, cause), reply_to=message))
    return replies


def _contributions(messages: Sequence[Message], contexts: Sequence[Context]) -> list[tuple[Order, Contribution]]:
    """Answer orders of one stage; what a client remembers goes into its own context."""
    opened = open_run(contexts[0].run_config)
    orders = _decoded(messages)
    cohort = [_member(opened, context) for context in contexts]
    contributions = STAGES[orders[0].stage](orders, cohort, opened.scenario, opened.federation().task)
    for member, context in zip(cohort, contexts, strict=True):
        if isinstance(member.memory, Memory) and member.memory.written:
            context.state[MEMORY] = to_arrays(member.memory.written)
    return list(zip(orders, contributions, strict=True))


def _fitted(messages: Sequence[Message], contexts: Sequence[Context]) -> list[tuple[Parameters, tuple[int, float]]]:
    """Models that all start from the same arrays, with each client's number of samples and mean loss."""
    opened, content = open_run(contexts[0].run_config), messages[0].content
    config: ConfigRecord = content.config_records[CONFIG]
    cohort, round_ = [_member(opened, context) for context in contexts], int(str(config["server-round"]))
    local = opened.scenario.local.model_copy(update={"learning_rate": float(str(config["learning-rate"]))})
    trained = train_models(
        [read_model(content.array_records[ARRAYS])] * len(cohort),
        [member.data.train for member in cohort],
        ElasticFamily.model_validate_json(str(config["model"])),
        opened.federation().task,
        local,
        learning_rate(local, (round_ - 1) / int(str(config["rounds"]))),
        opened.scenario.seed,
        [("fit", round_, member.number) for member in cohort],
        proximal=float(str(config.get("proximal-mu", 0.0))),
    )
    return [
        ({name: tensor[i] for name, tensor in trained.parameters.items()}, (len(m.data.train), float(trained.loss[i])))
        for i, m in enumerate(cohort)
    ]


def _mean_record(fitted: Sequence[tuple[Parameters, tuple[int, float]]]) -> RecordDict:
    """The weighted mean of models, as Flower's strategies expect one client's."""
    samples = sum(n for _, (n, _) in fitted)
    mean = {
        name: sum((n * model[name].double() for model, (n, _) in fitted), start=torch.zeros(())) / samples
        for name in fitted[0][0]
    }
    loss = sum(n * loss for _, (n, loss) in fitted) / samples
    arrays = to_arrays({name: tensor.float() for name, tensor in mean.items()})
    return RecordDict({ARRAYS: arrays, "metrics": MetricRecord({"num-examples": samples, "loss": loss})})


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
    return Member(number, clients[number], Memory(context.state.array_records.get(MEMORY)))
