"""Fork a process for each ClientApp that is handed over, with the libraries that it needs imported already.

Usage: host.py SOCKET
"""

import importlib
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

LIBRARIES = (
    "flwr.supernode.cli.flwr_clientapp",
    "torch",
    "safetensors.torch",
    "jaxtyping",
    "scipy.special",
    "sklearn.datasets",
    "flwr_datasets.partitioner",
)


def main() -> None:
    """Import, then serve until a signal ends it."""
    for name in LIBRARIES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children need no collecting
    folder, name = os.path.split(sys.argv[1])
    os.chdir(folder)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(name)
        listening.listen()
        while True:
            connection, _ = listening.accept()
            with connection:
                request, outputs = _received(connection)
                if request and os.fork() == 0:
                    listening.close()
                    _become(request, outputs)
                if request:
                    connection.sendall(b"1")
                for output in outputs:
                    os.close(output)


def _received(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """A request, and the descriptors of its output; nothing where it was cut off."""
    header, outputs, _, _ = socket.recv_fds(connection, 4, 2)
    wanted, text = int.from_bytes(header, "big"), b""
    while len(text) < wanted and (piece := connection.recv(wanted - len(text))):
        text += piece
    return (json.loads(text) if text and len(text) == wanted else None), outputs


def _become(request: dict[str, Any], outputs: list[int]) -> None:
    """Run the ClientApp in this fork, and end it."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = ["flwr-clientapp", *request["arguments"]]
        importlib.import_module("flwr.supernode.cli.flwr_clientapp").flwr_clientapp()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
