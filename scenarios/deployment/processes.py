"""Child processes in groups of their own: each with a log, watched together, and ended to the last grandchild."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

GRACE = 8.0
"""Seconds that processes have to end themselves before they are killed."""

PAUSE = 0.1
TAIL = 12
"""Lines of a log that an error shows."""


@dataclass(frozen=True)
class Process:
    """A child that leads a process group."""

    name: str
    child: "subprocess.Popen[bytes]"
    log: Path

    @staticmethod
    def start(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> "Process":
        """Start a process whose output goes to a log, at its end."""
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        return Process(name, child, log)

    @property
    def alive(self) -> bool:
        return self.child.poll() is None

    def tail(self, lines: int = TAIL) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        return "\n".join(line for line in text.splitlines()[-lines:] if line.strip())

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; nothing where it is gone."""
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            return


class ProcessLostError(RuntimeError):
    """A process ended that should run. The message holds the end of its log."""


class Processes:
    """Processes that live and end together. As a context it ends all that it has started, whatever happens inside."""

    def __init__(self) -> None:
        self._running: dict[str, Process] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *raised: object) -> None:
        self.end()

    def __getitem__(self, name: str) -> Process:
        return self._running[name]

    @property
    def all(self) -> tuple[Process, ...]:
        """In the order in which they were started."""
        return tuple(self._running.values())

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Process:
        """Start one more; in place of the last one of that name, which must be gone."""
        started = Process.start(name, command, environment, log)
        self._running[name] = started
        return started

    def check(self) -> None:
        """Notice a death.

        Raises:
            ProcessLostError: a process has ended.
        """
        for process in self._running.values():
            if not process.alive:
                raise ProcessLostError(
                    f"{process.name} ended with status {process.child.returncode}; the end of {process.log}:\n"
                    + process.tail()
                )

    def end(self) -> None:
        """End all groups: ask the last started first, and kill what is left after the grace."""
        everyone = list(reversed(self._running.values()))
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in everyone:
                process.signal(number)
            until = time.monotonic() + GRACE
            while any(members(process.child.pid) for process in everyone) and time.monotonic() < until:
                for process in everyone:
                    process.child.poll()
                time.sleep(PAUSE)
        for process in everyone:
            process.child.wait()
        self._running.clear()


def members(group: int) -> list[int]:
    """The living processes of a group; those that are dead and not yet collected do not count."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def free_ports(count: int) -> list[int]:
    """Different ports on loopback that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
