"""ClientApps are forks of a host where one is there, and start as ever where none is."""

import os
import socket
import subprocess
import sys
import time

import psutil
import pytest

from scenarios.deployment.processes import Processes
from scenarios.deployment.warm import host_command, write_launcher


def launched(folder, *arguments):
    """What a launcher's command says, and in which folder it thinks to be."""
    done = subprocess.run(
        [folder / "flwr-clientapp", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_without_a_host_the_command_itself_is_run(tmp_path):
    write_launcher(tmp_path, tmp_path / "nobody.sock")
    assert "usage: flwr-clientapp" in launched(tmp_path, "--help")


def listens(place):
    """Whether somebody accepts connections there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return place.exists() and probe.connect_ex(os.path.relpath(place)) == 0


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """The folder of a host's launcher and socket, and the host's process number."""
    folder = tmp_path_factory.mktemp("host")
    place = folder / "host.sock"
    write_launcher(folder, place)
    with Processes() as processes:
        child = processes.start("host", host_command(place), os.environ, folder / "host.log").child
        while not listens(place):  # the file is there a moment before
            processes.check()
            time.sleep(0.05)
        yield folder, child.pid


def test_with_one_a_fork_of_it_runs_and_speaks_where_the_command_would(host):
    folder, number = host
    read, write = os.pipe()
    with os.fdopen(read) as said:
        subprocess.run([folder / "flwr-clientapp", "--help"], stdout=write, stderr=write, check=True)
        os.close(write)
        assert "usage: flwr-clientapp" in said.read()
    assert psutil.Process(number).status() != psutil.STATUS_ZOMBIE


def test_a_request_that_is_cut_off_does_not_end_it(host):
    folder, _ = host
    for sent in (b"", b"\0\0\0\7{"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as broken:
            broken.connect(os.path.relpath(folder / "host.sock"))
            broken.sendall(sent)
    assert "usage: flwr-clientapp" in launched(folder, "--help")


def test_what_the_app_brings_is_not_imported_already(tmp_path):
    """The host must not hold the packages that come with the server's bundle."""
    script = tmp_path / "modules.py"
    script.write_text("import sys; print([m for m in sys.modules if m in ('federation', 'clients', 'server')])")
    libraries = "import runpy, sys; sys.argv = ['host', '/nowhere/x.sock']\n"
    libraries += f"try: runpy.run_path({host_command(tmp_path)[2]!r}, run_name='__main__')\nexcept OSError: pass\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", libraries + script.read_text()], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
