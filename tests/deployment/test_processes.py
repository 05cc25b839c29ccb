"""A deployment of real processes on loopback: a SuperLink, SuperNodes and SuperExecs, over TLS, nodes authenticated."""

import json
import os
import re
import shlex
import shutil
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from flwr.cli.supernode.register import try_load_public_key
from safetensors.torch import load_file

from federation.opening import open_run, run_config
from scenarios.commands.cli import main
from scenarios.deployment import credentials, upkeep
from scenarios.deployment.init import initialise, make_keys
from scenarios.deployment.layout import Layout
from scenarios.deployment.operator import Operator, UnreachableError
from scenarios.deployment.processes import Process, ProcessLostError, free_ports
from scenarios.deployment.submission import RunFailedError, followed, prepared, started
from scenarios.deployment.up import running
from scenarios.deployment.warm import HERE, write_launcher
from scenarios.runs.engines import SERIAL
from server.app import federate

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
COMMANDS = {
    line.split()[2]: shlex.split(line, comments=True)[1:] for line in LINES if line.startswith("manifold deploy")
}
SITES = 3
SMALL = {
    "prior.rounds": 1,
    "experts.rounds": 1,
    "experts.coordinates.kind": "diagonal",
    "head.rounds": 1,
    "router.rounds": 1,
    "local.epochs": 1,
    "charts.min_count": 10,
}


def status(*words):
    """Exit status and standard output of the command line."""
    with redirect_stdout(StringIO()) as said, pytest.raises(SystemExit) as exit_:
        main([str(word) for word in words])
    return exit_.value.code, said.getvalue()


def settings(overrides):
    return [word for name, value in overrides.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The deployment that most tests share."""
    layout = initialise(tmp_path_factory.mktemp("deployment") / "fleet", SITES)
    with running(layout, print) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def fetched(here, tmp_path_factory):
    """The folder of a run that the README's commands have started and fetched, and what these said."""
    out, said = tmp_path_factory.mktemp("results") / "fetched", {}
    places = {"fleet": here.layout.root, "runs/fetched": out}
    for name in ("split", "register", "run", "status", "fetch"):
        words = [places.get(word, word) for word in COMMANDS[name]]
        code, said[name] = status(*words, *(settings(SMALL) if name == "run" else []))
        assert code == 0, said[name]
    return out, said


def test_the_readme_shows_every_step():
    assert list(COMMANDS) == ["up", "init", "split", "check", "register", "run", "status", "fetch", "down"]


def test_the_world_model_is_the_simulation_s(fetched):
    opened = open_run(run_config("digits", SMALL | {"partition.clients": SITES}, 0))
    data = opened.federation()
    grid = SERIAL.grid(SITES, run_config("digits", SMALL | {"partition.clients": SITES}, 0))
    simulated = federate(grid, opened.scenario, data.task, SITES).world.tensors()
    deployed = load_file(fetched[0] / "world_model.safetensors")
    assert deployed.keys() == simulated.keys()
    for name, tensor in simulated.items():
        torch.testing.assert_close(deployed[name], tensor, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


METHOD = {
    "scaffold": ["--method", "scaffold", "--rounds", "2"],
    "fedpft": ["--method", "fedpft", "--rounds", "2"],
    "feddf": ["--set", 'phases=[{kind="census"},{kind="feddf",rounds=2,public="public.npz"}]'],
}


@pytest.fixture
def public(here):
    """Samples without labels at the server, for the method that asks for them."""
    file, draw = here.layout.server_data / "public.npz", np.random.default_rng(0)
    np.savez(file, x_public=draw.random((50, 64), np.float32))
    yield
    file.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHOD)
def test_a_method_of_the_literature_runs_on_the_same_sites_and_its_model_is_the_simulation_s(
    method, here, fetched, public, tmp_path
):
    small = settings({"local.epochs": 1, "charts.min_count": 10})
    words = [*COMMANDS["run"][:4], *METHOD[method], *small]
    code, said = status(*[here.layout.root if word == "fleet" else word for word in words])
    assert code == 0, said
    assert status("deploy", "fetch", here.layout.root, "--out", tmp_path / "fetched")[0] == 0
    deployed = load_file(tmp_path / "fetched" / "model.safetensors")
    own = ["--data-dir", str(here.layout.server_data)]
    simulate = ["simulate", *words[3:], "--set", f"partition.clients={SITES}", "--engine", "serial", *own]
    assert status(*simulate, "--out", tmp_path / "simulated", "--quiet")[0] == 0
    for name, tensor in load_file(tmp_path / "simulated" / "model.safetensors").items():
        torch.testing.assert_close(deployed[name], tensor, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@contextmanager
def other_labels(folder):
    """A site whose file holds other labels, and then its own again."""
    (file,) = folder.glob("*.npz")
    kept = file.read_bytes()
    with np.load(file) as arrays:
        np.savez(file, **{name: (a + 1) % 10 if name.startswith("y") else a for name, a in arrays.items()})
    yield
    file.write_bytes(kept)


def test_a_phase_of_one_s_own_reaches_the_sites_with_its_scenario_and_goes_on_where_it_was_stopped(
    here, fetched, tmp_path
):
    file = tmp_path / "centred.py"
    shutil.copy(ROOT / "tests" / "centred.py", file)
    phases = [{"kind": "centre"}, {"kind": "census"}, {"kind": "averaging", "rounds": 2}]
    wanted = prepared(here.layout, str(file), {"phases": phases, "local.epochs": 1}, 0)
    stopped = started(here.layout, here.operator, wanted, here.layout.results)

    def stop(line):
        if line.startswith("round 3:"):
            here.operator.stop(stopped.number)

    with pytest.raises(RunFailedError, match="finished:stopped"):
        followed(here.operator, stopped, stop)
    with other_labels(here.layout.sites[-1].data):
        code, said = status("deploy", "run", here.layout.root, "--resume")
        assert code == 2, said
        assert "other data" in said
    code, said = status("deploy", "run", here.layout.root, "--resume")
    assert code == 0, said
    assert "round 1:" not in said
    lines = (here.layout.results / stopped.name / "metrics.jsonl").read_text().splitlines()
    rounds = [json.loads(line) for line in lines]
    assert [record["phase"] for record in rounds] == ["centre", "centre", "census", "averaging", "averaging"]
    assert all(record["answered"] == SITES and not record["refused"] for record in rounds)


def test_each_site_has_told_of_its_own_samples_alone(here, fetched):
    names = {path.relative_to(here.layout.root / "data").as_posix() for path in here.layout.root.rglob("*.npz")}
    assert names == {"server/test.npz", *(f"site-{number}/client.npz" for number in range(SITES))}
    for site in here.layout.sites:
        process = psutil.Process(here.processes[f"superexec-{site.name}"].child.pid)
        assert process.environ()["MANIFOLD_DATA"] == str(site.data)


def test_what_was_fetched_tells_of_every_round_and_of_the_run(fetched):
    rounds = [json.loads(line) for line in (fetched[0] / "metrics.jsonl").read_text().splitlines()]
    assert all(record["answered"] == SITES and not record["refused"] for record in rounds)
    run = json.loads((fetched[0] / "run.json").read_text())
    assert (run["scenario"], run["overrides"]["data.sites"]["clients"]) == ("digits", SITES)


def test_a_run_is_followed_round_by_round(fetched):
    said = fetched[1]["run"]
    assert all(re.search(rf"^round {number}: ", said, re.MULTILINE) for number in (1, 11))
    assert "INFO" not in said
    assert said.splitlines()[-1].startswith("union accuracy")


def test_sites_are_registered_once(fetched):
    assert f"all {SITES} sites were registered already" in fetched[1]["register"]


def test_status_shows_nodes_by_site_and_runs(fetched):
    said = fetched[1]["status"]
    assert all(re.search(rf"site-{number} .* online", said) for number in range(SITES))
    assert "finished:completed" in said


def test_a_run_that_fails_ends_with_status_1_and_its_cause(here, capsys):
    code, _ = status("deploy", "run", here.layout.root, "digits", "--set", "local.learning_rate=1e30")
    assert code == 1
    assert re.search(r"failed: run \d+ finished:failed: .*no usable reply", capsys.readouterr().err)


def test_a_deployment_that_is_up_is_not_started_again(here, capsys):
    assert status("deploy", "up", here.layout.root, "--local")[0] == 2
    assert "is up already; end it by `manifold deploy down" in capsys.readouterr().err


def stranger(here, tmp_path, *words, ca=None, name="stranger"):
    """A SuperNode that asks to be let in; gives its log when it has ended."""
    binary, [port] = Path(sys.executable).parent / "flower-supernode", free_ports(1)
    trust = ["--root-certificates", str(ca or here.layout.ca)]
    command = [str(binary), "--superlink", here.operator.address, "--port", str(port), "--isolation", "process"]
    environment = {"FLWR_HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0", "PATH": "/usr/bin:/bin"}
    process = Process.start(name, [*command, *trust, *words], environment, tmp_path / "node.log")
    try:
        process.child.wait(timeout=90)
    finally:
        process.signal(9)
        process.child.wait()
    assert process.child.returncode != 0
    return process.tail(60)


def test_an_unregistered_key_is_refused(here, tmp_path):
    credentials.write_node_key(tmp_path / "key", tmp_path / "key.pub", credentials.new_key())
    said = stranger(here, tmp_path, "--auth-supernode-private-key", str(tmp_path / "key"))
    assert "305" in said
    assert "2004" in said


def test_a_rotated_key_takes_the_place_of_the_old_one_and_a_removed_site_s_key_is_refused(here, tmp_path):
    named = initialise(tmp_path / "guests", 2)
    guests = Layout(named.root, named.description.model_copy(update={"sites": ("guest-0", "guest-1")}))
    for site in guests.sites:
        make_keys(site)
    here.operator.register(guests)
    before = try_load_public_key(guests.site("guest-0").public_key)
    upkeep.rotate(guests, "guest-0", here.operator)
    upkeep.remove(guests, "guest-1", here.operator)
    known = {node.name: node.public_key for node in here.operator.nodes() if node.name.startswith("guest")}
    assert known == {"guest-0": try_load_public_key(guests.site("guest-0").public_key)}
    assert known["guest-0"] != before
    key = guests.removed / "guest-1" / "guest-1"
    assert "2004" in stranger(here, tmp_path, "--auth-supernode-private-key", str(key))


def test_a_node_without_a_key_is_refused(here, tmp_path):
    said = stranger(here, tmp_path)
    assert "305" in said
    assert "2001" in said


def test_a_server_of_another_authority_is_not_trusted(here, tmp_path):
    credentials.write(tmp_path / "ca.crt", credentials.certificate_file(credentials.authority().certificate))
    key = here.layout.sites[0].key
    said = stranger(here, tmp_path, "--auth-supernode-private-key", str(key), ca=tmp_path / "ca.crt")
    assert "CERTIFICATE_VERIFY_FAILED" in said


def test_the_operator_does_not_trust_it_either(here, tmp_path):
    credentials.write(tmp_path / "ca.crt", credentials.certificate_file(credentials.authority().certificate))
    with pytest.raises(UnreachableError):
        Operator(here.operator.address, tmp_path / "ca.crt").nodes()


def test_a_superexec_with_a_wrong_secret_gets_no_work(here, tmp_path):
    credentials.write(tmp_path / "secret", credentials.secret_file())
    trust = ("--root-certificates", str(here.layout.ca), "--superexec-auth-secret-file", str(tmp_path / "secret"))
    command = [str(Path(sys.executable).parent / "flower-superexec"), "--runtime-api-address", here.operator.address]
    before = here.processes["superlink"].log.read_text().count(" 401")
    environment = {"FLWR_HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0", "PATH": "/usr/bin:/bin"}
    liar = Process.start("liar", [*command, *trust], environment, tmp_path / "superexec.log")
    try:
        until = time.monotonic() + 30
        while here.processes["superlink"].log.read_text().count(" 401") == before and time.monotonic() < until:
            time.sleep(0.2)
    finally:
        liar.signal(9)
        liar.child.wait()
    assert here.processes["superlink"].log.read_text().count(" 401") > before


def test_plain_http_is_not_answered(here):
    with pytest.raises((urllib.error.URLError, OSError)):
        urllib.request.urlopen(f"http://{here.operator.address}/health", timeout=10)


def test_a_site_that_cheats_is_refused_by_name_and_the_run_goes_on(here, tmp_path):
    site, socket = here.layout.sites[2], tmp_path / "host.sock"
    command = [sys.executable, "-P", str(Path(__file__).parent / "hostile.py"), str(socket), str(HERE / "host.py")]
    here.processes.start("hostile", command, os.environ, tmp_path / "hostile.log")
    write_launcher(tmp_path, socket)
    honest = here.processes[f"superexec-{site.name}"]
    honest.signal(9)
    honest.child.wait()
    here.start_client_executor(site, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    while not socket.exists():
        here.processes.check()
        time.sleep(0.1)
    fewer = SMALL | {"head.rounds": 0, "router.rounds": 0}
    code, said = status("deploy", "run", here.layout.root, "digits", *settings(fewer))
    assert code == 0, said
    out = tmp_path / "out"
    assert status("deploy", "fetch", here.layout.root, "--out", out)[0] == 0
    rounds = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    refused = {record["phase"]: record["refused"] for record in rounds if record["refused"]}
    causes = {
        "prior": r"client 2: NaN",
        "encoder": r"client 2: .*expected",
        "experts": r"node \d+: answers for client 0, ",
        "evidence": r"arrays that cannot be read",
        "composition": r"stale reply",
    }
    for phase, cause in causes.items():
        assert len(refused[phase]) == 1
        assert re.search(cause, refused[phase][0]), refused
        assert f"{phase} round 1: refused" in said
    assert all(record["answered"] >= 2 for record in rounds)


def test_a_process_that_dies_is_noticed_with_the_end_of_its_log(here):
    """The last test: nothing runs on this deployment afterwards."""
    here.processes.check()
    superlink = here.processes["superlink"]
    superlink.signal(9)
    superlink.child.wait()
    with pytest.raises(ProcessLostError, match=r"(?s)superlink ended with status -9; the end of .*:\n.*INFO"):
        here.processes.check()
