"""Certificates, secrets and keys are renewed and sites leave, and the folder is whole before and after, and between."""

import os
import stat

import pytest

from federation.rules import InputError
from scenarios.deployment import compose, credentials, upkeep
from scenarios.deployment.check import problems
from scenarios.deployment.init import initialise
from scenarios.deployment.layout import Layout
from scenarios.deployment.submission import Run, resumable
from tests.commands import status


@pytest.fixture
def layout(tmp_path):
    return initialise(tmp_path / "fleet", 3, ["example.org"])


def contents(layout):
    return {p.relative_to(layout.root).as_posix(): p.read_bytes() for p in layout.root.rglob("*") if p.is_file()}


def changed(before, after):
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["--certificates"], {"certificates/server.pem", "certificates/server.key"}),
        (["--secrets"], {f"secrets/superexec-{who}" for who in ("server", "site-0", "site-1", "site-2")}),
    ],
)
def test_what_is_renewed_is_new_and_good_and_nothing_else_changes(layout, words, files):
    before = contents(layout)
    assert status("deploy", "renew", str(layout.root), *words) == 0
    assert changed(before, contents(layout)) == files
    assert problems(layout) == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in layout.private} == {0o600}


def test_without_a_word_both_are_renewed(layout):
    before = contents(layout)
    assert status("deploy", "renew", str(layout.root)) == 0
    assert len(changed(before, contents(layout))) == 6


def test_a_certificate_is_renewed_for_the_names_that_the_server_has_now(layout):
    described = layout.description.model_copy(update={"hosts": ("example.org", "10.9.9.9")})
    upkeep.renew_certificate(Layout(layout.root, described))
    assert problems(Layout(layout.root, described)) == []


def test_a_certificate_is_not_renewed_without_the_authority_s_key(layout):
    before = contents(layout)
    (layout.root / "elsewhere").mkdir()
    os.replace(layout.ca_key, layout.root / "elsewhere" / "ca.key")
    assert status("deploy", "renew", str(layout.root), "--certificates") == 2
    assert changed(before, contents(layout)) == {"certificates/ca.key", "elsewhere/ca.key"}


def test_a_site_s_key_is_rotated_and_no_other(layout):
    before = contents(layout)
    assert status("deploy", "rotate", str(layout.root), "site-1", "--offline") == 0
    assert changed(before, contents(layout)) == {"keys/site-1", "keys/site-1.pub"}
    assert problems(layout) == []


def test_a_rotation_that_the_superlink_does_not_hear_of_changes_no_key(layout, capsys):
    before = contents(layout)
    (layout.root / "deployment.json").write_text(
        (layout.root / "deployment.json").read_text().replace('"control": 8000', '"control": 9')
    )
    assert status("deploy", "rotate", str(layout.root), "site-1") == 1
    assert "failed: SuperLink 127.0.0.1:9" in capsys.readouterr().err
    assert all(contents(layout)[name] == before[name] for name in ("keys/site-1", "keys/site-1.pub"))
    left = problems(Layout.load(layout.root))
    assert len(left) == 2
    assert all("left where a change was cut off; repeat" in problem for problem in left)
    assert status("deploy", "rotate", str(layout.root), "site-1", "--offline") == 0
    assert problems(Layout.load(layout.root)) == []


def test_a_change_that_is_cut_off_between_two_files_is_found_and_repeated(layout, monkeypatch):
    real, moved = os.replace, []

    def cut(source, target):
        if moved:
            raise OSError("the power is gone")
        moved.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(OSError, match="power"):
        upkeep.renew_certificate(layout)
    monkeypatch.undo()
    assert any("cut off" in problem for problem in problems(layout))
    upkeep.renew_certificate(layout)
    assert problems(layout) == []


def test_a_site_that_is_removed_leaves_no_trace_but_aside(layout):
    (layout.sites[1].data / "client.npz").write_text("samples")
    mine = layout.sites[1].key.read_bytes()
    assert status("deploy", "remove", str(layout.root), "site-1", "--offline") == 0
    left = Layout.load(layout.root)
    assert left.description.sites == ("site-0", "site-2")
    assert problems(left) == []
    assert left.compose.read_bytes() == compose.file_of(left).data
    assert b"site-1" not in left.compose.read_bytes()
    aside = {name: content for name, content in contents(left).items() if name.startswith("removed/site-1/")}
    assert aside.keys() == {
        f"removed/site-1/{name}" for name in ("site-1", "site-1.pub", "superexec-site-1", "data/client.npz")
    }
    assert aside["removed/site-1/site-1"] == mine
    assert stat.S_IMODE((left.removed / "site-1").stat().st_mode) == credentials.FOLDER


def test_a_run_of_more_sites_is_not_gone_on_with(layout):
    task = {"kind": "classification", "input_shape": [1, 8, 8], "outputs": 10}
    for overrides in ({"data.sites": {"clients": 3, "task": task}}, {"partition.clients": 3}):
        run = Run(number=1, name="digits-1", scenario="digits", overrides=overrides, seed=0)
        layout.runs.write_text(run.model_dump_json() + "\n")
        assert resumable(layout) == run
        with pytest.raises(InputError, match="was of 3 sites, .* has 2; begin another"):
            resumable(Layout(layout.root, layout.description.model_copy(update={"sites": ("site-0", "site-2")})))


@pytest.mark.parametrize("command", ["remove", "rotate"])
def test_a_site_that_is_not_there_is_refused(layout, command, capsys):
    assert status("deploy", command, str(layout.root), "site-7", "--offline") == 2
    assert "has no site 'site-7'; did you mean" in capsys.readouterr().err


def test_the_only_site_stays(tmp_path, capsys):
    layout = initialise(tmp_path / "one", 1)
    before = contents(layout)
    assert status("deploy", "remove", str(layout.root), "site-0", "--offline") == 2
    assert "is the only site" in capsys.readouterr().err
    assert contents(layout) == before
