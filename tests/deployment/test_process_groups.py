"""Processes live in groups and end with everything that they have started, however stubborn."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from scenarios.deployment import processes as module
from scenarios.deployment.init import initialise
from scenarios.deployment.live import Birth, Live
from scenarios.deployment.processes import Processes, ProcessLostError, free_ports, members
from scenarios.deployment.up import terminable

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch):
    monkeypatch.setattr(module, "GRACE", 1.0)


def start(processes, script, folder, name="one"):
    return processes.start(name, ["/bin/sh", "-c", script], os.environ, folder / f"{name}.log")


def until(condition):
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_grandchildren_end_too_also_those_that_ignore_being_asked(tmp_path):
    with Processes() as processes:
        group = start(processes, "trap '' TERM; sleep 1000 & sleep 1000 & wait; wait", tmp_path).child.pid
        assert until(lambda: len(members(group)) == 3)
    assert members(group) == []


def test_they_end_when_the_block_raises(tmp_path):
    groups = []

    def interrupted():
        with Processes() as processes:
            groups.append(start(processes, "sleep 1000", tmp_path).child.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert members(groups[0]) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_they_end_when_a_signal_interrupts_the_block(tmp_path, number):
    groups = []

    def interrupted():
        with terminable(), Processes() as processes:
            groups.append(start(processes, "sleep 1000", tmp_path).child.pid)
            os.kill(os.getpid(), number)
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert members(groups[0]) == []


def test_a_death_is_noticed_with_its_status_and_the_end_of_its_log(tmp_path):
    with Processes() as processes:
        start(processes, "sleep 1000", tmp_path, "other")
        start(processes, "echo first; echo last words; exit 3", tmp_path).child.wait()
        with pytest.raises(ProcessLostError, match=r"(?s)one ended with status 3; .*one.log:\nfirst\nlast words"):
            processes.check()


def test_free_ports_are_different():
    assert len(set(free_ports(20))) == 20


def test_what_is_on_file_is_nothing_once_its_processes_are_gone(tmp_path):
    layout = initialise(tmp_path / "fleet", 1)
    with Processes() as processes:
        group = start(processes, "sleep 1000", tmp_path).child.pid
        live = Live.of(1234, processes.all)
        orphan = live.model_copy(update={"supervisor": Birth(pid=os.getpid(), began=0.0)})
        orphan.save(layout)
        found = Live.load(layout)
        assert found is not None
        assert found.left == [group]
        found.end()
        assert members(group) == []
    assert Live.load(layout) is None


def test_a_group_whose_leader_is_dead_and_not_collected_is_left_until_all_of_it_has_ended(tmp_path):
    with Processes() as processes:
        group = start(processes, "sleep 1000 &", tmp_path).child.pid
        assert until(lambda: psutil.Process(group).status() == psutil.STATUS_ZOMBIE)
        orphan = Live.of(1234, processes.all).model_copy(update={"supervisor": Birth(pid=os.getpid(), began=0.0)})
        assert orphan.left == [group]
        orphan.end()
        assert orphan.left == []
        assert members(group) == []


def test_a_number_that_another_process_has_got_is_not_taken_for_it():
    assert Birth.of(os.getpid()).alive
    assert not Birth(pid=os.getpid(), began=psutil.Process().create_time() - 60).alive


@pytest.fixture
def served(tmp_path):
    """A command that keeps a deployment of one site up, once it is, and the folder of its processes' state."""
    words = ["deploy", "up", "fleet", "--local", "--serve", "--sites", "1"]
    with (tmp_path / "said").open("w") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "scenarios.commands.cli", *words], cwd=tmp_path, stdout=said, stderr=said
        )
    state = str(tmp_path / "fleet" / "state")
    try:
        assert until(lambda: (tmp_path / "fleet" / "live.json").exists()), (tmp_path / "said").read_text()
        yield child, state
    finally:
        child.kill()
        child.wait()
        for process in started(state):
            process.kill()


def started(state):
    """Processes of a deployment, by the folder of their state."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FLWR_HOME", "").startswith(state) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found


def test_a_deployment_that_is_interrupted_leaves_no_process(served, tmp_path):
    child, state = served
    assert len(started(state)) >= 4
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=60) == 128 + signal.SIGINT
    assert started(state) == []
    assert "Traceback" not in (tmp_path / "said").read_text()


def test_what_a_killed_command_has_left_is_ended_by_down(served, tmp_path):
    child, state = served
    child.kill()
    child.wait()
    assert started(state)
    down = [sys.executable, "-m", "scenarios.commands.cli", "deploy", "down", "fleet"]
    assert subprocess.run(down, cwd=tmp_path, check=False).returncode == 0
    assert started(state) == []
