"""A new deployment's folder is whole, tight and never written over; what is wrong with one is said, a line each."""

import stat
from argparse import Namespace
from datetime import UTC, datetime, timedelta

import pytest
from flwr.cli.flower_config import read_superlink_connection
from flwr.cli.supernode.register import try_load_public_key
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.cli.flower_supernode import _try_setup_client_authentication

from federation.rules import InputError
from scenarios.deployment import credentials
from scenarios.deployment.check import problems
from scenarios.deployment.init import initialise
from scenarios.deployment.layout import Layout


@pytest.fixture
def layout(tmp_path):
    return initialise(tmp_path / "fleet", 2, ["example.org", "10.1.2.3"])


def only(found):
    """The one problem."""
    assert len(found) == 1, found
    return found[0]


def test_a_new_deployment_has_no_problems_and_is_read_again(layout):
    assert problems(layout) == []
    assert Layout.load(layout.root) == layout


def test_what_is_private_is_for_its_owner_alone(layout):
    files = [path for path in layout.root.rglob("*") if path.is_file()]
    private = {path for path in files if b"PRIVATE KEY" in path.read_bytes() or "secrets" in path.parts}
    assert private == set(layout.private)
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    folders = [layout.root, *(path for path in layout.root.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_flower_itself_reads_the_keys_and_the_connection(layout, monkeypatch):
    monkeypatch.setenv("FLWR_HOME", str(layout.flower_home))
    for site in layout.sites:
        given = Namespace(auth_supernode_private_key=str(site.key), auth_supernode_public_key=None)
        _, public = _try_setup_client_authentication(given)
        assert public_key_to_bytes(public) == try_load_public_key(site.public_key)
    assert read_superlink_connection("manifold").address == "127.0.0.1:8000"


def test_every_place_has_a_secret_of_its_own(layout):
    secrets = {path.read_bytes() for path in (layout.root / "secrets").iterdir()}
    assert len(secrets) == 3


def test_a_folder_with_anything_in_it_is_left_alone(layout):
    before = {path: path.stat().st_mtime_ns for path in layout.root.rglob("*")}
    with pytest.raises(InputError, match="exists already and is not empty; name a new folder"):
        initialise(layout.root, 3)
    assert {path: path.stat().st_mtime_ns for path in layout.root.rglob("*")} == before


@pytest.mark.parametrize("host", ["", "bad host", "-x", "a..b", "*"])
def test_a_host_that_is_none_is_refused_before_anything_is_written(tmp_path, host):
    with pytest.raises(InputError, match="expected a host name or an IP address"):
        initialise(tmp_path / "fleet", 1, [host])
    assert not (tmp_path / "fleet").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        initialise(tmp_path / "file" / "fleet", 1)


def test_expired_certificates_are_found(layout):
    later = datetime.now(UTC) + timedelta(days=900)
    assert "server.pem: expired on" in only(problems(layout, later))


def test_certificates_of_the_future_point_to_the_clock(layout):
    found = problems(layout, datetime.now(UTC) - timedelta(days=2))
    assert len(found) == 2
    assert all("check this machine's clock" in problem for problem in found)


def test_a_key_of_another_certificate_is_found(layout):
    layout.certificate_key.unlink()
    credentials.write(layout.certificate_key, credentials.key_file(credentials.new_key()))
    assert "server.key: does not belong to" in only(problems(layout))


def test_a_certificate_of_another_authority_is_found(layout):
    other = credentials.server(credentials.authority(), layout.server_names)
    for path in (layout.certificate, layout.certificate_key):
        path.unlink()
    credentials.write(layout.certificate, credentials.certificate_file(other.certificate))
    credentials.write(layout.certificate_key, credentials.key_file(other.key))
    assert "server.pem: not signed by" in only(problems(layout))


def test_a_name_that_the_certificate_lacks_is_found(layout):
    described = layout.description.model_copy(update={"hosts": ("example.org", "10.1.2.3", "10.9.9.9", "other.org")})
    assert "lacks 10.9.9.9, other.org among its names" in only(problems(Layout(layout.root, described)))


def test_a_readable_private_key_is_found(layout):
    layout.sites[1].key.chmod(0o644)
    assert "site-1: others may read it (mode 644); chmod 600" in only(problems(layout))


def test_each_missing_file_is_found(layout):
    files = [*layout.private, layout.ca, layout.certificate, *(site.public_key for site in layout.sites)]
    for path in files:
        content = path.read_bytes()
        path.unlink()
        assert str(path) in only(problems(layout))
        credentials.write(path, credentials.Content(content, 0o600))
    assert problems(layout) == []


def test_keys_that_are_none_are_found(layout):
    first, second = layout.sites
    first.key.write_text("nonsense")
    second.public_key.write_text("ssh-ed25519 AAAA")
    found = problems(layout)
    assert [problem.split(":")[0] for problem in found] == [str(first.key), str(second.public_key)]


def test_a_public_key_of_another_site_is_found(layout):
    first, second = layout.sites
    first.public_key.write_bytes(second.public_key.read_bytes())
    assert "site-0.pub: does not belong to" in only(problems(layout))


def test_secrets_that_are_short_or_shared_are_found(layout):
    first, second = layout.sites
    first.secret.write_text("short")
    assert "5 bytes, expected 32 or more" in only(problems(layout))
    first.secret.write_bytes(second.secret.read_bytes())
    assert "two places share a secret" in only(problems(layout))


def test_a_missing_data_folder_is_found(layout):
    layout.sites[0].data.rmdir()
    assert "no such folder; make it, for the data of site-0" in only(problems(layout))
