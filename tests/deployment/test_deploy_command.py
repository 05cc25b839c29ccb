"""`manifold deploy` refuses bad input in one clear line, with status 2, and writes nothing."""

import json
from pathlib import Path

import pytest
import yaml

from scenarios.commands.cli import main
from scenarios.deployment.submission import Run


def status(*arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["deploy", *map(str, arguments)])
    return exit_.value.code


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fleet():
    assert status("init", "fleet", "--sites", "2") == 0
    return Path("fleet")


def refused(capsys, *arguments):
    """The one line that says why."""
    capsys.readouterr()
    assert status(*arguments) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said


def test_a_new_deployment_is_good(fleet, capsys):
    assert status("check", fleet) == 0
    assert capsys.readouterr().out.endswith("all good\n")


def test_a_deployment_is_never_written_over(fleet, capsys):
    assert "exists already and is not empty" in refused(capsys, "init", fleet)


def test_check_names_each_problem(fleet, capsys):
    (fleet / "keys" / "site-0").chmod(0o644)
    (fleet / "secrets" / "superexec-site-1").unlink()
    capsys.readouterr()
    assert status("check", fleet) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert any("chmod 600" in line for line in lines)
    assert any("superexec-site-1: missing" in line for line in lines)


@pytest.mark.parametrize("command", ["check", "up", "register", "status", "down"])
def test_a_folder_without_a_deployment_is_refused(command, capsys):
    assert "nowhere holds no deployment" in refused(capsys, command, "nowhere")


def test_containers_are_not_started_with_a_folder_that_has_problems(fleet, capsys):
    (fleet / "certificates" / "server.key").unlink()
    said = refused(capsys, "up", fleet)
    assert "server.key: missing" in said
    assert "manifold deploy check fleet" in said


def test_up_without_a_folder_needs_local(capsys):
    assert "or use --local" in refused(capsys, "up")


def test_a_local_run_needs_as_many_clients_as_sites(fleet, capsys):
    assert "fleet has 2 sites, not 3" in refused(capsys, "up", fleet, "--local", "--sites", "3", "--out", "out")
    said = refused(capsys, "up", fleet, "--local", "--set", "partition.clients=5", "--out", "out")
    assert "partition.clients=5, but the deployment has 2 sites" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "unknown scenario 'nonsense'"),
        (["digits", "--set", "prior.round=2"], "unknown key 'prior.round'"),
        (["digits", "--data-dir", "nowhere"], "no data folder nowhere"),
    ],
)
def test_a_local_run_that_cannot_be_configured_starts_nothing(words, said, capsys):
    assert said in refused(capsys, "up", "fleet", *words, "--local", "--sites", "2")
    assert list(Path().iterdir()) == []


def test_the_file_of_a_scenario_must_be_there(fleet, capsys):
    said = f"no scenario file {Path('mine.py').resolve()}; give the path"
    assert said in refused(capsys, "run", fleet, "./mine.py")
    assert said in refused(capsys, "up", "mine.py", "--local", "--out", "out")
    run = Run(number=7, name="mine-1", scenario=str(Path("mine.py").resolve()), overrides={}, seed=0)
    (fleet / "runs.jsonl").write_text(run.model_dump_json() + "\n", encoding="utf-8")
    assert said in refused(capsys, "run", fleet, "--resume")
    assert said in refused(capsys, "up", fleet, "--local", "--resume")


def test_a_run_is_either_new_or_resumed(fleet, capsys):
    assert "expected either SCENARIO" in refused(capsys, "run", fleet)
    assert "expected either SCENARIO" in refused(capsys, "run", fleet, "digits", "--resume")
    assert "no run was started from fleet" in refused(capsys, "run", fleet, "--resume")


@pytest.mark.parametrize("words", [["digits"], ["--seed", "1"], ["--serve"], ["--sites", "2"]])
def test_a_local_run_is_either_new_or_resumed(fleet, words, capsys):
    assert "takes no other settings" in refused(capsys, "up", fleet, *words, "--local", "--resume")
    assert "no run was started from fleet" in refused(capsys, "up", fleet, "--local", "--resume")


def test_only_known_runs_are_fetched(fleet, capsys):
    assert "known: none" in refused(capsys, "fetch", fleet, "--out", "out", "--run", "other")
    assert not Path("out").exists()


def test_a_server_that_is_not_there_is_a_failure_with_its_address(capsys):
    assert status("init", "far", "--sites", "1", "--control-port", "9") == 0
    capsys.readouterr()
    assert status("register", "far") == 1
    assert "failed: SuperLink 127.0.0.1:9: " in capsys.readouterr().err


def test_containers_need_a_tool(fleet, capsys):
    (fleet / "compose.yaml").touch()
    assert "no nonesuch here; install one of docker compose" in refused(capsys, "up", fleet, "--compose", "nonesuch")


def test_the_compose_file_is_printed_as_the_deployment_is_described_now(fleet, capsys):
    capsys.readouterr()
    assert status("compose", fleet) == 0
    assert capsys.readouterr().out == (fleet / "compose.yaml").read_text(encoding="utf-8")
    described = (fleet / "deployment.json").read_text(encoding="utf-8")
    fewer = json.dumps(json.loads(described) | {"sites": ["site-1"]})
    (fleet / "deployment.json").write_text(fewer, encoding="utf-8")
    assert status("compose", fleet) == 0
    printed = capsys.readouterr().out
    assert "partition-id=0 num-partitions=1" in printed
    assert "site-0" not in printed


def test_the_kubernetes_manifests_are_printed_below_the_commands_that_make_their_secrets(fleet, capsys):
    capsys.readouterr()
    assert status("kubernetes", fleet) == 0
    printed = capsys.readouterr().out
    assert "# kubectl --namespace manifold create secret generic site-1 --from-file=ca.crt=" in printed
    assert {found["kind"] for found in yaml.safe_load_all(printed)} >= {"StatefulSet", "Deployment", "NetworkPolicy"}


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_tool_that_fails_is_a_failure(fleet, command, capsys):
    assert status(command, fleet, "--compose", "false") == 1
    assert "compose.yaml" in (said := capsys.readouterr().err)
    assert "ended with status 1" in said


def test_a_run_that_cannot_be_fetched_leaves_no_folder(fleet, capsys):
    run = Run(number=7, name="digits-1", scenario="digits", overrides={}, seed=0)
    (fleet / "runs.jsonl").write_text(run.model_dump_json() + "\n", encoding="utf-8")
    assert status("fetch", fleet, "--out", "out", "--compose", "false") == 1
    assert "no archive came" in capsys.readouterr().err
    assert not Path("out").exists()
