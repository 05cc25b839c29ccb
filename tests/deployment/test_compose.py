"""The compose file: one source for any number of sites, valid, and with no way from a site to another."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from scenarios.deployment.compose import example, render
from scenarios.deployment.init import initialise

ROOT = Path(__file__).parents[2]
CONFINED = {
    "init": True,
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "restart": "unless-stopped",
}


@pytest.fixture(params=range(1, 6), ids=lambda sites: f"{sites} sites")
def sites(request):
    return request.param


@pytest.fixture
def stack(sites):
    return yaml.safe_load(render(example(sites)))


def meet(stack, one, other):
    """Whether two services share a network."""
    return bool(set(stack["services"][one]["networks"]) & set(stack["services"][other]["networks"]))


def sources(service):
    return {secret["source"] for secret in service["secrets"]}


def test_the_top_level_file_is_the_rendering_for_three_sites():
    made = subprocess.run(
        [sys.executable, "-m", "scenarios.deployment.compose"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (ROOT / "docker-compose.yml").read_text(encoding="utf-8") == made.stdout


def test_it_is_valid_under_the_compose_schema(tmp_path):
    files = [tmp_path / f"{sites}.yaml" for sites in (1, 5)]
    for sites, file in zip((1, 5), files, strict=True):
        file.write_text(render(example(sites), build="."), encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_services_meet_along_the_way_of_a_message_and_nowhere_else(stack, sites):
    wanted = {("superlink", "superexec-server"), ("superlink", "gateway"), ("superexec-server", "gateway")}
    for n in range(sites):
        wanted |= {("gateway", f"supernode-site-{n}"), (f"supernode-site-{n}", f"superexec-site-{n}")}
    met = {pair for pair in combinations(stack["services"], 2) if meet(stack, *pair)}
    assert met == wanted


def test_no_site_has_a_way_out(stack):
    for name, service in stack["services"].items():
        if "-site-" in name:
            assert all(stack["networks"][network] == {"internal": True} for network in service["networks"])


def test_every_container_is_confined(stack):
    for service in stack["services"].values():
        assert service.items() >= CONFINED.items()
        assert service["user"] == "49999:49999"
        assert {"mem_limit", "cpus", "pids_limit", "healthcheck"} <= service.keys()


def test_containers_run_as_the_owner_of_their_files(sites):
    users = {service["user"] for service in yaml.safe_load(render(example(sites), user="1000"))["services"].values()}
    assert users == {"1000:49999"}


def test_a_new_deployment_has_its_compose_file_and_its_containers_may_read_its_files(tmp_path):
    layout = initialise(tmp_path / "mine", sites=2)
    stack = yaml.safe_load(layout.compose.read_text(encoding="utf-8"))
    [user] = {int(service["user"].split(":")[0]) for service in stack["services"].values()}
    files = [layout.root / secret["file"] for secret in stack["secrets"].values()]
    assert user > 0
    folders = [layout.server_data, *(site.data for site in layout.sites)]
    assert {path.stat().st_uid for path in (*files, *folders)} == {user}
    assert layout.ca_key.stat().st_uid == os.geteuid()


def test_a_key_is_seen_by_its_supernode_alone_and_data_by_its_clients_alone(stack, sites):
    for n in range(sites):
        holders = {name for name, service in stack["services"].items() if f"site-{n}" in sources(service)}
        readers = {
            name: mount
            for name, service in stack["services"].items()
            for mount in service.get("volumes", [])
            if f"/site-{n}:" in mount
        }
        assert holders == {f"supernode-site-{n}"}
        assert readers == {f"superexec-site-{n}": f"./data/site-{n}:/data:ro"}


def test_no_container_sees_the_authoritys_key(stack):
    assert not any("ca.key" in secret["file"] for secret in stack["secrets"].values())


def test_a_secret_is_shared_by_the_two_ends_that_it_joins(stack):
    for secret in [name for name in stack["secrets"] if name.startswith("superexec-")]:
        holders = [name for name, service in stack["services"].items() if secret in sources(service)]
        assert len(holders) == 2
        assert meet(stack, *holders)


def test_ports_are_published_on_loopback_where_nothing_else_is_said(stack):
    ports = {name: service["ports"] for name, service in stack["services"].items() if "ports" in service}
    assert ports == {"superlink": ["127.0.0.1:8000:8000"], "gateway": ["${MANIFOLD_LISTEN:-127.0.0.1}:8443:8443"]}
