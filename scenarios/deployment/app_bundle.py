"""The Flower app of this installation as a folder, from which `flwr run` makes the bundle that all places run."""

import shutil
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import tomli_w

from federation.opening import LIBRARY

PACKAGES = ("federation", "clients", "server", "scenarios")
NAME = "manifold-federation"
DEFAULTS = {"scenario": "digits", "overrides": "{}", "seed": 0, "out": "runs/flower", "resume": False}
"""Flower takes no setting of a run that has no default in its app."""


OWN = "own"
"""By which name the app opens the scenario of a file that its bundle was given."""


def write_app(folder: Path, own: Path | None = None) -> Path:
    """Copy the packages into a new folder, with what Flower must know of them; gives the folder.

    Args:
        own: the file of a scenario that is none of the library's.
    """
    for name in PACKAGES:
        package = Path(str(import_module(name).__file__)).parent
        shutil.copytree(package, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    if own is not None:
        shutil.copy(own, folder.joinpath(*LIBRARY.split("."), f"{OWN}.py"))
    app = {
        "publisher": "manifold",
        "components": {"serverapp": "server.app:app", "clientapp": "clients.app:app"},
        "config": DEFAULTS,
    }
    project = {"name": NAME, "version": version(NAME), "description": "A federation to deploy", "license": "Apache-2.0"}
    text = tomli_w.dumps({"project": project, "tool": {"flwr": {"app": app}}})
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder
