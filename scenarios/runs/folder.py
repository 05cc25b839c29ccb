"""The folder of a run: made only when the input is known to be good, and each file written whole or not at all."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from federation.rules import InputError

RUNS = Path("runs")
PACKAGES = ("manifold-federation", "flwr", "flwr-datasets", "numpy", "pydantic", "ray", "scikit-learn", "torch")


@dataclass(frozen=True)
class RunFolder:
    """A run's folder."""

    path: Path

    @staticmethod
    def create(out: Path | None, scenario: str) -> "RunFolder":
        """A new folder: the one named, or `runs/<scenario>-<time>`.

        Raises:
            InputError: it exists already, or cannot be made.
        """
        path = out or RUNS / f"{scenario}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise InputError(f"output folder {path} exists already; name another by --out") from None
        except OSError as error:
            raise InputError(f"output folder {path} cannot be made ({error.strerror}); name another by --out") from None
        return RunFolder(path)

    def write_text(self, name: str, text: str) -> None:
        """Write a file atomically."""
        partial = self.path / f".{name}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, self.path / name)

    def write_json(self, name: str, data: Any) -> None:
        """Write JSON atomically."""
        self.write_text(name, json.dumps(data, indent=2) + "\n")

    def write_lines(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Write lines of JSON atomically."""
        self.write_text(name, "".join(json.dumps(record) + "\n" for record in records))

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Add a line of JSON."""
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def read_lines(self, name: str) -> list[Any]:
        """Lines of JSON, none where there is no such file. A last line that was cut off while it was written is lost.

        Raises:
            InputError: the file is damaged elsewhere.
        """
        path = self.path / name
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0] if path.is_file() else ""
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}); begin again in another folder by --out") from None

    def mended_lines(self, name: str) -> list[Any]:
        """The same, and the file is left with whole lines alone, so that others can be added."""
        lines = self.read_lines(name)
        if lines:
            self.write_lines(name, lines)
        return lines

    def read_json(self, name: str) -> Any:
        """A file of this run.

        Raises:
            InputError: the folder holds no such file, or a damaged one.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path} holds no readable {name} ({error}); name the folder of a finished run"
            ) from None


def check_out(out: Path | None) -> None:
    """Refuse an output folder that exists already, before anything is computed."""
    if out is not None and out.exists():
        raise InputError(f"output folder {out} exists already; name another by --out")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """What a run depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
