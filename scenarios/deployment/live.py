"""Which processes of a deployment run on this machine, on file, so that other commands find them, and what is left."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import psutil
from pydantic import ValidationError

from federation.rules import Frozen
from scenarios.deployment.layout import Layout
from scenarios.deployment.processes import GRACE, PAUSE, Process, members


class Birth(Frozen):
    """A process, told from later ones of the same number by the second in which it began."""

    pid: int
    began: float

    @staticmethod
    def of(pid: int) -> "Birth":
        return Birth(pid=pid, began=psutil.Process(pid).create_time())

    @property
    def alive(self) -> bool:
        try:
            return not self.reused and bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    @property
    def reused(self) -> bool:
        """Whether another process has got its number."""
        try:
            return bool(abs(psutil.Process(self.pid).create_time() - self.began) >= 1)
        except psutil.NoSuchProcess:
            return False


class Live(Frozen):
    """A deployment that runs without containers.

    Attributes:
        supervisor: the process that has started the others and ends them.
        port: of the SuperLink, on loopback.
        groups: leaders of process groups, by name.
    """

    supervisor: Birth
    port: int
    groups: Mapping[str, Birth]

    @staticmethod
    def of(port: int, processes: Iterable[Process]) -> "Live":
        """This process and its children."""
        groups = {process.name: Birth.of(process.child.pid) for process in processes}
        return Live(supervisor=Birth.of(os.getpid()), port=port, groups=groups)

    @staticmethod
    def load(layout: Layout) -> "Live | None":
        """What is on file; None where nothing is, or nothing of it runs any more."""
        try:
            live = Live.model_validate_json(layout.live.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None
        return live if live.supervisor.alive or live.left else None

    @property
    def left(self) -> list[int]:
        """Numbers of the process groups in which something still runs."""
        births = self.groups.values()
        return [birth.pid for birth in births if birth.alive or (not birth.reused and members(birth.pid))]

    def save(self, layout: Layout) -> None:
        """Write it whole."""
        partial = layout.live.with_suffix(".partial")
        partial.write_text(self.model_dump_json(), encoding="utf-8")
        os.replace(partial, layout.live)

    def end(self) -> None:
        """End all of it: by its supervisor, and then what that has left, or where it is gone."""
        if self.supervisor.alive:
            os.kill(self.supervisor.pid, signal.SIGTERM)
            _await(lambda: not self.supervisor.alive, 3 * GRACE)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for group in self.left:
                with suppress(ProcessLookupError):
                    os.killpg(group, number)
            _await(lambda: not self.left, GRACE)


def _await(done: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        time.sleep(PAUSE)
