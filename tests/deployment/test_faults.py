"""What breaks in a real deployment: nodes, apps and servers that are killed in mid-round. Minutes: `make test-slow`."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil
import pytest
import torch
from safetensors.torch import load_file

from federation.opening import open_run, run_config
from scenarios.deployment.init import initialise
from scenarios.deployment.live import Live
from scenarios.deployment.operator import UnreachableError
from scenarios.deployment.submission import RunFailedError, followed, prepared, recorded, started
from scenarios.deployment.up import operator_of, running
from scenarios.runs.engines import SERIAL
from server.app import federate
from tests.commands import status

pytestmark = pytest.mark.slow

SITES = 3
SMALL = {
    "prior.rounds": 3,
    "experts.rounds": 1,
    "head.rounds": 0,
    "router.rounds": 0,
    "local.epochs": 1,
    "charts.min_count": 10,
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with running(initialise(tmp_path_factory.mktemp("faults") / "fleet", SITES), print, durable=True) as deployment:
        yield deployment


def run(here, overrides, breaks, after="round 2:"):
    """Run digits; when a line of the log begins with `after`, break something, once. Gives the rounds' records."""
    broken = threading.Event()

    def watch(line):
        print(line)
        if line.startswith(after) and not broken.is_set():
            broken.set()
            breaks()

    submitted = started(here.layout, here.operator, prepared(here.layout, "digits", overrides, 0), here.layout.results)
    followed(here.operator, submitted, watch)
    assert broken.is_set()
    return rounds(here, submitted)


def rounds(here, run):
    lines = (here.layout.results / run.name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def eventually(find, seconds=30):
    """What `find` finds, once it finds something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := find():
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing within {seconds} s")


def children(here, name, born=0.0):
    """The children of a process that were born after a time."""
    found = psutil.Process(here.processes[name].child.pid).children(recursive=True)
    return [child for child in found if child.create_time() > born]


def simulated(overrides):
    config = run_config("digits", overrides | {"partition.clients": SITES}, 0)
    opened = open_run(config)
    return federate(SERIAL.grid(SITES, config), opened.scenario, opened.federation().task, SITES).world.tensors()


def assert_same(here, run, overrides):
    deployed = load_file(here.layout.results / run.name / "world_model.safetensors")
    for name, tensor in simulated(overrides).items():
        torch.testing.assert_close(deployed[name], tensor, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_a_clientapp_that_is_killed_is_started_again_or_missed_once(here):
    """Flower starts it again if it has not yet taken its work, and answers in its place if it has."""

    def kill():
        born = time.time()
        eventually(lambda: children(here, "clientapps", born))[0].kill()

    records = run(here, SMALL, kill)
    causes = [cause for record in records for cause in record["refused"]]
    assert len(causes) <= 1
    assert all(cause.startswith("client ") for cause in causes)
    assert sum(SITES - record["answered"] for record in records) == len(causes)


def test_a_superlink_that_is_away_for_12_seconds_delays_the_run(here):
    def restart():
        superlink = here.processes["superlink"]
        superlink.signal(9)
        superlink.child.wait()
        time.sleep(12)
        here.start_superlink()

    records = run(here, SMALL, restart)
    assert all(record["answered"] == SITES for record in records)
    assert_same(here, recorded(here.layout), SMALL)


def test_a_serverapp_that_is_killed_goes_on_from_its_last_round(here):
    def kill():
        """Also what is left of the run before, which may be slow to end."""
        for child in children(here, "superexec-server"):
            child.kill()

    with pytest.raises(RunFailedError, match="finished:failed"):
        run(here, SMALL, kill, after="round 3:")
    again = started(here.layout, here.operator, recorded(here.layout), here.layout.results, resume=True)
    lines = []
    followed(here.operator, again, lines.append)
    assert not any(line.startswith(("round 1:", "round 2:", "round 3:")) for line in lines)
    assert [record["number"] for record in rounds(here, again)] == list(range(1, len(rounds(here, again)) + 1))
    assert_same(here, again, SMALL)


def test_a_local_deployment_that_is_killed_as_a_whole_goes_on_with_its_run(tmp_path):
    fleet, out = tmp_path / "fleet", tmp_path / "out"
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    words = ["-m", "scenarios.commands.cli", "deploy", "up", str(fleet)]
    begin = [*words, "digits", "--local", "--sites", str(SITES), *settings, "--out", str(tmp_path / "first")]
    with subprocess.Popen([sys.executable, *begin], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        next(line for line in first.stdout if line.startswith("round 3:"))
        first.kill()
    assert status("deploy", "down", str(fleet)) == 0
    again = [sys.executable, *words, "--local", "--resume", "--out", str(out)]
    done = subprocess.run(again, capture_output=True, text=True, check=True, timeout=900)
    assert "round 4:" in done.stdout
    assert not any(f"round {number}:" in done.stdout for number in (1, 2, 3))
    deployed = load_file(out / "world_model.safetensors")
    for name, tensor in simulated(SMALL).items():
        torch.testing.assert_close(deployed[name], tensor, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    assert status("deploy", "up", str(fleet), "--local", "--resume") == 2


def test_a_deployment_that_is_served_starts_anew_when_a_site_leaves_or_has_another_key(tmp_path):
    layout = initialise(tmp_path / "fleet", SITES)
    words = [sys.executable, "-m", "scenarios.commands.cli", "deploy", "up", str(layout.root), "--local", "--serve"]

    def up(*names, last=None):
        """The nodes' keys, and where the SuperLink listens, once these sites are online at another than the last."""

        def found():
            live = Live.load(layout)
            if live is None or live.port == last:
                return None
            with suppress(UnreachableError):
                online = {n.name: n.public_key for n in operator_of(layout).nodes() if n.status == "online"}
                return (online, live.port) if online.keys() == set(names) else None

        return eventually(found, seconds=180)

    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as served:
        before, port = up("site-0", "site-1", "site-2")
        assert status("deploy", "remove", str(layout.root), "site-1") == 0
        between, port = up("site-0", "site-2", last=port)
        assert between == {name: before[name] for name in between}
        assert status("deploy", "rotate", str(layout.root), "site-2") == 0
        after, _ = up("site-0", "site-2", last=port)
        assert (after["site-0"] == before["site-0"], after["site-2"] == before["site-2"]) == (True, False)
        served.send_signal(signal.SIGINT)
        assert served.stdout is not None
        said = served.stdout.read()
    assert said.count("sites or their keys have changed; all start anew") == 2
    assert Live.load(layout) is None


def test_a_supernode_that_is_killed_is_missed_named_and_taken_back(here):
    site, over = here.layout.sites[1], threading.Event()

    def kill():
        """Once it has taken its order: one that has not gets it again when it is back."""
        node = here.processes[f"supernode-{site.name}"]
        taken = node.log.read_text().count("Received successfully")
        eventually(lambda: node.log.read_text().count("Received successfully") > taken)
        node.signal(9)
        threading.Thread(target=restart, daemon=True).start()

    def restart():
        """As containers do; for a while the server takes the key for one that is still there."""
        while not over.is_set():
            if not here.processes[f"supernode-{site.name}"].alive:
                here.start_supernode(site)
            time.sleep(5)

    try:
        records = run(here, SMALL | {"experts.rounds": 25}, kill)
    finally:
        over.set()
    answered = [record["answered"] for record in records]
    missed = answered.index(2)
    assert any(cause.startswith("client 1: ") for cause in records[missed]["refused"])
    assert answered[-1] == SITES
