"""The link between a site and its server is cut in mid-round and heals: nobody is lost, and no round."""

import json
import socket
import threading
import time

import pytest
import torch
from safetensors.torch import load_file

from federation.opening import open_run, run_config
from scenarios.deployment.init import initialise
from scenarios.deployment.local import LocalDeployment, Ports
from scenarios.deployment.own_data import split
from scenarios.deployment.processes import Processes
from scenarios.deployment.submission import followed, prepared, started
from scenarios.runs.engines import SERIAL
from server.app import federate
from tests.deployment.relay import Relay

SITES, CUT = 2, 1
SMALL = {
    "prior.rounds": 3,
    "experts.rounds": 1,
    "head.rounds": 0,
    "router.rounds": 0,
    "local.epochs": 1,
    "charts.min_count": 10,
}
WHOLE = SMALL | {"partition.clients": SITES}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A deployment whose site 1 is behind a relay."""
    layout = initialise(tmp_path_factory.mktemp("link") / "fleet", SITES)
    split(layout, "digits", {"partition.clients": SITES}, 0)
    with Processes() as processes:
        deployment = LocalDeployment(layout, processes, Ports.free(SITES))
        relay = Relay("127.0.0.1", deployment.ports.superlink)
        try:
            deployment.start({layout.sites[CUT].name: relay.address})
            yield deployment, relay
        finally:
            processes.end()
            relay.cut()


def run(here, breaks, **more):
    """Run digits; when the first round of the prior is done, break something. Gives the records and the tensors."""
    broken = threading.Event()

    def watch(line):
        print(line)
        if line.startswith("round 2:") and not broken.is_set():
            broken.set()
            breaks()

    submitted = started(
        here.layout, here.operator, prepared(here.layout, "digits", SMALL | more, 0), here.layout.results
    )
    followed(here.operator, submitted, watch)
    assert broken.is_set()
    out = here.layout.results / submitted.name
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return records, load_file(out / "world_model.safetensors")


def later(seconds, act):
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


@pytest.mark.slow
def test_a_link_that_is_cut_for_20_seconds_delays_the_run_and_changes_nothing(here):
    deployment, relay = here
    passed = []

    def cut():
        time.sleep(1)  # into the next round
        relay.cut()
        passed.append(relay.passed)
        later(20, lambda: (passed.append(relay.passed), relay.heal()))

    records, deployed = run(deployment, cut)
    assert passed[0] == passed[1] < relay.passed
    assert all(record["answered"] == SITES and not record["refused"] for record in records)
    assert max(record["seconds"] for record in records) > 18
    config = run_config("digits", WHOLE, 0)
    opened = open_run(config)
    simulated = federate(SERIAL.grid(SITES, config), opened.scenario, opened.federation().task, SITES).world.tensors()
    for name, tensor in simulated.items():
        torch.testing.assert_close(deployed[name], tensor, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.slow
def test_a_link_that_is_cut_for_longer_costs_some_rounds_and_the_site_is_named_and_taken_back(here):
    deployment, relay = here

    def cut():
        time.sleep(1)
        relay.cut()
        later(65, relay.heal)

    records, _ = run(deployment, cut, **{"experts.rounds": 8})
    missed = [record for record in records if record["answered"] < SITES]
    causes = [cause for record in missed for cause in record["refused"]]
    assert [record["number"] for record in records] == list(range(1, len(records) + 1))
    assert any(cause.startswith(f"client {CUT}: error 5") for cause in causes)
    assert records[-1]["answered"] == SITES


def test_a_relay_passes_what_it_is_given_unless_it_is_cut():
    with socket.create_server(("127.0.0.1", 0)) as server:
        relay = Relay(*server.getsockname())
        host, port = relay.address.split(":")
        try:
            with socket.create_connection((host, int(port)), timeout=5) as near:
                near.sendall(b"there")
                far, _ = server.accept()
                assert far.recv(9) == b"there"
                far.sendall(b"back")
                assert near.recv(9) == b"back"
                relay.cut()
                assert near.recv(9) == b""
            far.close()
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((host, int(port)), timeout=5)
            relay.heal()
            socket.create_connection((host, int(port)), timeout=5).close()
        finally:
            relay.cut()
