"""The same scenario and seed give the same world model on every engine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from federation.opening import open_run, run_config
from scenarios.runs.compare import compare
from scenarios.runs.engines import HERE, SERIAL, Engine
from server.app import app as server_app
from server.app import federate
from tests.small import ROUNDS, Quiet

CONFIG = run_config("digits", ROUNDS, 0)


def tensors(engine, config=CONFIG, **options):
    opened = open_run(config)
    federation = opened.federation()
    clients = len(federation.clients)
    outcome = federate(engine.grid(clients, config, **options), opened.scenario, federation.task, clients)
    world = outcome.world
    return world.tensors(), world.predict(federation.union_test.inputs)


def assert_close(one, other, tolerance):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(
            one[name], other[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.fixture(scope="module")
def serial():
    return tensors(SERIAL)


def test_the_cohort_engine_equals_the_serial_one(serial):
    weights, answers = tensors(HERE)
    assert_close(weights, serial[0], 1e-5)
    torch.testing.assert_close(answers, serial[1], rtol=1e-5, atol=1e-5)


def test_clients_of_many_sizes_in_one_round_give_the_same_on_both_engines():
    sizes = {"sizes.kind": "tiers", "sizes.widths": [1.0, 0.5, 0.25], "sizes.depths": [1.0, 0.0]}
    tiered = run_config("digits", ROUNDS | sizes, 0)
    one, other = tensors(SERIAL, config=tiered), tensors(HERE, config=tiered)
    assert_close(one[0], other[0], 1e-5)
    torch.testing.assert_close(one[1], other[1], rtol=1e-5, atol=1e-5)


def test_committees_of_experts_with_their_own_classes_give_the_same_on_both_engines():
    experts = {"experts.own_classes": True, "experts.members": 3, "regions.kind": "shared_regions", "regions.count": 3}
    config = run_config("digits", ROUNDS | experts | {"model.width": 48, "head.ridge": 1e-3}, 0)
    one, other = tensors(SERIAL, config=config), tensors(HERE, config=config)
    assert any(name.endswith("/classes") for name in one[0])
    assert max(len(t) for name, t in one[0].items() if name.startswith("experts/") and name.endswith("stem.bias")) > 1
    assert_close(one[0], other[0], 1e-5)
    torch.testing.assert_close(one[1], other[1], rtol=1e-5, atol=1e-5)


def test_readouts_in_place_of_experts_are_the_same_on_both_engines():
    readout = {"experts.readout": {"features": {"kind": "random_features"}}, "local.learning_rate": 1e-4}
    config = run_config("digits", ROUNDS | readout, 0)
    one, other = tensors(SERIAL, config=config), tensors(HERE, config=config)
    assert any(name.startswith("experts/") and name.endswith("/head.bias") for name in one[0])
    assert not any(name.startswith("experts/") and "stem" in name for name in one[0])
    assert_close(one[0], other[0], 1e-4)
    torch.testing.assert_close(one[1], other[1], rtol=1e-4, atol=1e-4)


def test_experts_in_the_coordinates_of_their_charts_are_the_same_on_both_engines():
    small = dict.fromkeys(("prior.rounds", "experts.rounds", "coupling.rounds", "local.epochs"), 1)
    seen = {"experts.coordinates": {"kind": "diagonal"}, "router.rule": {"kind": "windows"}, "router.rounds": 0}
    config = run_config("piecewise", small | seen, 0)
    one, other = tensors(SERIAL, config=config), tensors(HERE, config=config)
    assert any(name.endswith("/coordinates/slope") for name in one[0])
    assert_close(one[0], other[0], 1e-4)
    torch.testing.assert_close(one[1], other[1], rtol=1e-3, atol=1e-3)


def test_the_order_in_which_clients_are_visited_changes_nothing(serial):
    weights, answers = tensors(SERIAL, visit=lambda messages: list(reversed(messages)))
    assert_close(weights, serial[0], 1e-6)
    torch.testing.assert_close(answers, serial[1], rtol=1e-6, atol=1e-6)


def test_the_cohort_engine_does_not_care_about_the_order_either():
    assert_close(tensors(HERE, visit=lambda m: list(reversed(m)))[0], tensors(HERE)[0], 1e-6)


def compared(engine):
    """A comparison of a seed, but for times."""
    result = compare("digits", ROUNDS, [0], ["world", "central", "fedavg", "fedprox"], Quiet(), engine).dump()
    for row in result["budget"].values():
        del row["seconds"], row["latency"]
    return result


@pytest.fixture(scope="module")
def comparison():
    return compared(HERE)


def test_the_same_seed_gives_the_same_comparison(comparison):
    assert compared(HERE) == comparison


class Backwards(Engine):
    """Visits clients in the opposite order."""

    def grid(self, clients, run_config, **more):
        return super().grid(clients, run_config, **more, visit=lambda messages: list(reversed(messages)))


def test_another_visiting_order_gives_the_same_comparison(comparison):
    back = compared(Backwards(workers=0))
    for method, row in comparison["union"].items():
        assert back["union"][method]["per_seed"] == pytest.approx(row["per_seed"], abs=1e-6)


def test_the_server_app_saves_the_same_world_model_as_the_command_line_gets(serial, tmp_path):
    from flwr.app import Context, RecordDict

    grid = SERIAL.grid(ROUNDS["partition.clients"], CONFIG)
    server_app(grid, Context(1, 1, {}, RecordDict(), {**CONFIG, "out": str(tmp_path)}))
    assert_close(load_file(tmp_path / "world_model.safetensors"), serial[0], 1e-7)


def flwr_run(folder: Path, overrides: dict) -> Path:
    """Run the app as `flwr run` does, on Flower's own simulation; gives the folder of its results."""
    root, home, out = Path(__file__).parents[2], folder / "home", folder / "out"
    home.mkdir()
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "local-simulation"\n[superlink.local-simulation]\naddress = ":local:"\n'
        f"options.num-supernodes = {ROUNDS['partition.clients']}\n"
        "options.backend.client-resources.num-cpus = 1\noptions.backend.client-resources.num-gpus = 0.0\n"
    )
    run = folder / "run.toml"
    run.write_text(f"overrides = '{json.dumps(overrides)}'\nout = \"{out}\"\n")
    environment = os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["flwr", "run", str(root), "local-simulation", "--stream", "--run-config", str(run)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    finally:
        _end_superlink(home)
    assert (out / "world_model.safetensors").is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    return out


@pytest.mark.slow
def test_flwr_run_on_flowers_own_simulation_equals_the_serial_engine(serial, tmp_path):
    out = flwr_run(tmp_path, ROUNDS)
    assert_close(load_file(out / "world_model.safetensors"), serial[0], 1e-5)


@pytest.mark.slow
def test_rounds_of_flowers_own_simulation_need_not_wait_for_everybody(tmp_path):
    out = flwr_run(tmp_path, ROUNDS | {"pacing.kind": "buffered", "pacing.size": 2})
    rounds = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    trained = [record for record in rounds if record["phase"] in ("prior", "experts")]
    assert len(rounds) == 12
    assert all(record["answered"] >= 2 and not record["refused"] for record in trained)


def _end_superlink(home):
    """`flwr run` leaves its local SuperLink running: end it, by the home folder on its command line."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any("flower-superlink" in word for word in words) and any(str(home) in word for word in words):
            os.kill(int(process.name), signal.SIGTERM)
