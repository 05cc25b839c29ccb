"""Checkpoints: whoever goes on from one comes to the same result; what cannot be used is refused with one line."""

import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from federation.opening import open_run, run_config
from federation.phases.world_model import WORLD_MODEL
from federation.rules import InputError
from scenarios.runs.engines import HERE, SERIAL
from server.app import federate
from server.checkpoint import KEPT, VERSION, Checkpoints
from tests.small import ROUNDS

RICH = {
    "coupling.rounds": 2,
    "head.ridge": 1e-3,
    "fixed_point.residual": 0.05,
    "novelty.spawn_at": 5,
    "novelty.false_discoveries": 0.9,
    "novelty.quantile": 0.5,
    "novelty.rounds": 2,
    "aggregation.kind": "momentum",
    "experts.coordinates": {"kind": "whitened"},
    "other_encoders": [{"kind": "principal_components", "dimensions": 8, "features": {"kind": "prior_trunk"}}],
    "availability.kind": "devices",
    "pacing.deadline": 12.0,
}
"""Every phase but two, state of an optimizer, an encoder that asks the prior, and clients that are late."""

READ = {"experts.readout": {"features": {"kind": "random_features", "count": 8}}}
"""The two that are left."""


class Everything(Checkpoints):
    """Keeps all that is ever written."""

    def __init__(self, folder, scenario):
        super().__init__(folder, scenario)
        self.written = {}

    def write(self, checkpoint):
        super().write(checkpoint)
        self.written[len(checkpoint.history)] = self.read()


def federated(config, engine=HERE, grid=None, **options):
    opened = open_run(config)
    clients = len(opened.federation().clients)
    grid = grid or engine.grid(clients, config)
    outcome = federate(grid, opened.scenario, opened.federation().task, clients, **options)
    rounds = [replace(record, seconds=0.0) for record in outcome.history]
    return outcome.world, rounds, grid


def assert_same(one, other):
    (world, rounds, grid), (expected, all_rounds, whole) = one, other
    assert rounds == all_rounds
    assert world.design == expected.design
    assert grid.traffic == whole.traffic
    found, wanted = world.tensors(), expected.tensors()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("overrides", [ROUNDS, ROUNDS | RICH, ROUNDS | READ], ids=["small", "rich", "readouts"])
def test_a_run_goes_on_from_any_round_to_the_same_result_bit_by_bit(tmp_path, overrides):
    config = run_config("digits", overrides, 0)
    kept = Everything(tmp_path, open_run(config).scenario)
    undisturbed = federated(config, checkpoints=kept)
    phases = {record.phase for record in undisturbed[1]}
    readouts = {"readout", "selection"}
    single = {"responsibility"}  # their clients lie in one region each
    assert readouts <= phases if READ.keys() <= overrides.keys() else not readouts & phases
    assert not RICH.keys() <= overrides.keys() or phases == {p.name for p in WORLD_MODEL} - readouts - single
    for checkpoint in list(kept.written.values())[:: 3 if RICH.keys() <= overrides.keys() else 1]:
        assert_same(federated(config, resumed=checkpoint), undisturbed)


def test_with_late_clients_at_work_there_are_checkpoints_between_phases_alone(tmp_path):
    late = {"availability.kind": "devices", "pacing.kind": "buffered", "pacing.size": 3}
    config = run_config("digits", ROUNDS | late | {"prior.rounds": 4, "experts.rounds": 4}, 0)
    kept = Everything(tmp_path, open_run(config).scenario)
    undisturbed = federated(config, checkpoints=kept)
    rounds = undisturbed[1]
    ends = {n for n, record in enumerate(rounds, 1) if n == len(rounds) or rounds[n].phase != record.phase}
    assert ends <= kept.written.keys()
    assert len(kept.written) < len(rounds)
    for checkpoint in list(kept.written.values())[::3]:
        assert_same(federated(config, resumed=checkpoint), undisturbed)


def test_deployed_clients_that_have_lost_their_memory_are_told_again(tmp_path):
    config = run_config("digits", ROUNDS, 0)
    kept = Everything(tmp_path, open_run(config).scenario)
    world, rounds, _ = federated(config, checkpoints=kept)
    for checkpoint in list(kept.written.values())[1::3]:
        again, rounds_again, _ = federated(config, SERIAL, resumed=replace(checkpoint, simulated=None, node_of={}))
        assert [(r.phase, r.answered, r.refused) for r in rounds_again] == [
            (r.phase, r.answered, r.refused) for r in rounds
        ]
        for name, tensor in world.tensors().items():
            torch.testing.assert_close(again.tensors()[name], tensor, rtol=1e-4, atol=1e-5)


def test_deployed_clients_are_told_again_what_was_novel_before_a_region_spawned(tmp_path):
    spawning = {name: value for name, value in RICH.items() if name.startswith("novelty.")}
    config = run_config("digits", ROUNDS | spawning, 0)
    kept = Everything(tmp_path, open_run(config).scenario)
    world, rounds, _ = federated(config, checkpoints=kept)
    spawned = next(n for n, record in enumerate(rounds, 1) if record.phase == "spawn")
    assert kept.written[spawned].state.pioneers
    for done in (spawned, spawned + 1):
        forgetful = replace(kept.written[done], simulated=None, node_of={})
        again, rounds_again, _ = federated(config, SERIAL, resumed=forgetful)
        assert [(r.phase, r.answered) for r in rounds_again] == [(r.phase, r.answered) for r in rounds]
        assert not any(record.refused for record in rounds_again)
        for name, tensor in world.tensors().items():
            torch.testing.assert_close(again.tensors()[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_client_that_restarts_within_a_run_is_missed_once_and_told_again():
    config = run_config("digits", ROUNDS | {"head.rounds": 3}, 0)

    class Restarting(type(SERIAL.grid(5, config))):
        """Client 2 forgets everything before the first round of the head."""

        def push_messages(self, messages):
            sent = list(messages)
            phases = {
                (m.content.config_records["config"]["phase"], m.content.config_records["config"]["round"]) for m in sent
            }
            if ("head", 0) in phases:
                del self.states[3]
            return super().push_messages(sent)

    from clients.app import app

    _, rounds, _ = federated(config, grid=Restarting(app, 5, config))
    refused = [(r.phase, r.answered, list(r.refused)) for r in rounds if r.refused]
    assert refused == [
        ("head", 4, ["client 2: has lost what it was told, as after a restart; it is told again"]),
    ]


@pytest.fixture
def written(tmp_path):
    config = run_config("digits", ROUNDS, 0)
    checkpoints = Checkpoints(tmp_path / "checkpoints", open_run(config).scenario)
    federated(config, checkpoints=checkpoints)
    return checkpoints


def test_the_last_few_are_kept_and_nothing_else(written):
    assert len(written.rounds) == KEPT
    assert len(list(written.folder.iterdir())) == KEPT
    written.write(written.read(written.rounds[0]))
    assert len(written.rounds) == 1  # a run that goes on from an earlier one has not done what came later


def refusal(checkpoints, rounds=None):
    with pytest.raises(InputError) as caught:
        checkpoints.read(rounds)
    return str(caught.value).replace(str(checkpoints.folder), "FOLDER")


def test_a_truncated_one_is_refused_and_the_last_good_one_offered(written):
    *_, good, last = written.rounds
    os.truncate(written.path(last), written.path(last).stat().st_size - 1)
    assert refusal(written).startswith(f"FOLDER/{written.path(last).name}: damaged, it cannot be read (")
    assert refusal(written).endswith(f"; the last good one is that of --round {good}")
    assert len(written.read(good).history) == good


def test_a_changed_byte_is_found(written):
    path = written.path(written.rounds[-1])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "damaged, its checksum does not match" in refusal(written)


def test_one_of_another_configuration_is_refused_by_the_field_that_differs(written):
    other = open_run(run_config("digits", ROUNDS | {"local.learning_rate": 0.2}, 0)).scenario
    moved = open_run(run_config("digits", ROUNDS | {"data.dir": "elsewhere"}, 0)).scenario
    cause = "of another configuration, local.learning_rate is 0.1 there and 0.2 here; begin the run again"
    assert cause in refusal(Checkpoints(written.folder, other))
    assert Checkpoints(written.folder, moved).read().history  # the same data at another place


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
def test_one_of_another_version_is_refused(written, version):
    path = written.path(written.rounds[-1])
    with safe_open(path, "pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, header | {"version": str(version)})
    assert f"of version {version}, expected {VERSION}; resume it with the package that wrote it" in refusal(written)


def test_none_is_refused(tmp_path, written):
    scenario = written.scenario
    assert refusal(Checkpoints(tmp_path / "none", scenario)).endswith("holds no checkpoint; begin the run again")
    known = ", ".join(map(str, written.rounds))
    assert refusal(written, 1) == f"FOLDER holds no checkpoint after round 1; there are those after rounds {known}"


def test_nothing_in_a_checkpoint_is_a_pickle(written):
    with safe_open(written.path(written.rounds[-1]), "pt") as file:
        assert json.loads(file.metadata()["body"])["checkpoint"]["kind"] == "Checkpoint"
