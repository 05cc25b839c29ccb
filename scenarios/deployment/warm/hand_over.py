"""Hand a ClientApp's arguments, environment and output over to the host; where none answers, start it cold.

Usage: hand_over.py SOCKET FLWR_CLIENTAPP [ARGUMENT ...]
"""

import json
import os
import socket
import sys


def main() -> None:
    """Return when the host has taken over, or become the command itself."""
    place, real, *arguments = sys.argv[1:]
    home, (folder, name) = os.getcwd(), os.path.split(place)
    request = json.dumps({"arguments": arguments, "environment": dict(os.environ), "folder": home}).encode()
    try:
        os.chdir(folder)  # the name of a socket must be short
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as host:
            host.connect(name)
            socket.send_fds(host, [len(request).to_bytes(4, "big")], [1, 2])
            host.sendall(request)
            taken = host.recv(1)
    except OSError:
        taken = b""
    if not taken:
        os.chdir(home)
        os.execv(real, [real, *arguments])


if __name__ == "__main__":
    main()
