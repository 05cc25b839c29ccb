"""A deployment's containers, by whatever tool of the Compose specification this machine has."""

import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from federation.rules import InputError
from scenarios.deployment.layout import Layout

RESULTS = PurePosixPath("/results")
"""Where the server's containers keep what ServerApps write."""

SERVER = "superexec-server"
TOOLS = (("docker", "compose"), ("podman-compose",), ("podman", "compose"))


@dataclass(frozen=True)
class Containers:
    """The containers of a deployment.

    Attributes:
        tool: words of the command that reads compose files.
    """

    layout: Layout
    tool: tuple[str, ...]

    @staticmethod
    def of(layout: Layout, tool: str | None = None) -> "Containers":
        """With the tool named, or the first one that this machine has.

        Raises:
            InputError: there is none.
        """
        if not layout.compose.is_file():
            raise InputError(f"{layout.compose} is missing; containers need it, `--local` does not")
        words = tuple(shlex.split(tool)) if tool else here()
        if not words or not shutil.which(words[0]):
            known = ", ".join(" ".join(words) for words in TOOLS)
            raise InputError(f"no {tool or 'compose tool'} here; install one of {known}, or use --local")
        return Containers(layout, words)

    def up(self) -> None:
        """Start all containers that are not up."""
        self._run("up", "--detach")

    def down(self) -> None:
        """Stop and remove all containers; volumes stay."""
        self._run("down")

    def fetch(self, name: str, out: Path) -> None:
        """Copy the folder of a run's results out of the server's volume."""
        command = self._command("exec", "-T", SERVER, "tar", "--create", "--directory", str(RESULTS / name), ".")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            try:
                _unpack(child.stdout, out)
                whole = True
            except tarfile.TarError:
                whole = False
            said = child.stderr.read().decode(errors="replace").strip()
        if child.returncode or not whole:
            raise RuntimeError(f"{shlex.join(command)}: {' '.join(said.split()) or 'no archive came'}")

    def _run(self, *words: str) -> None:
        command = self._command(*words)
        if status := subprocess.run(command, check=False).returncode:
            raise RuntimeError(f"{shlex.join(command)} ended with status {status}")

    def _command(self, *words: str) -> Sequence[str]:
        return [*self.tool, "--file", str(self.layout.compose), *words]


def here() -> tuple[str, ...]:
    """The compose tool of this machine; nothing where there is none."""
    return next(filter(_works, TOOLS), ())


def _unpack(stream: IO[bytes], out: Path) -> None:
    """An archive's regular files; none may lie outside the folder."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        archive.extractall(out, filter="data")


def _works(words: tuple[str, ...]) -> bool:
    if not shutil.which(words[0]):
        return False
    return subprocess.run([*words, "version"], capture_output=True, check=False).returncode == 0
