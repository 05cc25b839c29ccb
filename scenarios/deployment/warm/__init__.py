"""ClientApps that need not import torch each time. Flower starts a process for each message that a site answers, and
importing takes most of its time; here each process is a fork of one that has imported what is not ours already.

`host.py` is that one, and `hand_over.py` is what a SuperExec starts instead of `flwr-clientapp`. Both run as scripts:
the app's own packages must come from the bundle that the server sends.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent


def host_command(socket: Path) -> list[str]:
    """What runs the host, which listens on a Unix socket."""
    return [sys.executable, "-P", str(HERE / "host.py"), str(socket)]


def node_command() -> list[str]:
    """What runs a SuperNode that looks for messages often."""
    return [sys.executable, "-P", str(HERE / "node.py")]


def write_launcher(folder: Path, socket: Path) -> None:
    """Write a `flwr-clientapp` into a folder, for the front of a SuperExec's PATH."""
    launcher = folder / "flwr-clientapp"
    real = Path(sys.executable).parent / launcher.name
    script = HERE / "hand_over.py"
    launcher.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -SE "{script}" "{socket}" "{real}" "$@"\n', encoding="utf-8"
    )
    launcher.chmod(0o700)
