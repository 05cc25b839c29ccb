"""Each phase says what it reads of a client's memory, so whoever has lost it is told again, and reads nothing else."""

from flwr.app import ArrayRecord
from flwr.clientapp import ClientApp

from clients.app import MEMORY, contribute
from federation.engine import SerialGrid
from federation.opening import open_run, run_config
from federation.phases import Phase, named
from federation.phases.world_model import WORLD_MODEL
from federation.wire.records import ACTION, Order
from server.app import federate
from tests.small import ROUNDS

EVERY_PHASE = {
    "experts.coordinates": {"kind": "diagonal"},
    "coupling.rounds": 1,
    "head.ridge": 1e-3,
    "novelty.spawn_at": 5,
    "novelty.false_discoveries": 0.9,
    "novelty.quantile": 0.5,
    "novelty.rounds": 2,
    "other_encoders": [{"kind": "principal_components", "dimensions": 8}],
}

app = ClientApp()


@app.train(ACTION.split(".")[1])
def forgetful(message, context):
    """A client that knows nothing but what the phase has left itself, and what it says that it reads."""
    phase = named(Order.from_record(message.content).phase)
    whole = dict(context.state.array_records.get(MEMORY, {}))
    mine = f"{phase.kind()}/", f"probe/{phase.kind()}"
    known = {name: array for name, array in whole.items() if name in phase.reads or name.startswith(mine)}
    context.state[MEMORY] = ArrayRecord(known)
    answer = contribute(message, context)
    context.state[MEMORY] = ArrayRecord({**whole, **context.state.array_records[MEMORY]})
    return answer


def test_no_phase_reads_what_it_does_not_declare():
    config = run_config("digits", ROUNDS | EVERY_PHASE, 0)
    opened = open_run(config)
    outcome = federate(SerialGrid(app, 5, config), opened.scenario, opened.federation().task, 5)
    assert {record.phase for record in outcome.history} == {p.name for p in WORLD_MODEL} - {
        "readout",
        "selection",
        "responsibility",
    }
    assert [record.refused for record in outcome.history if record.refused] == []


def test_what_a_phase_reads_is_left_by_one_that_remembers():
    for phase in Phase.kinds().values():
        assert all(named(earlier).remembers for earlier in phase.recalls())
