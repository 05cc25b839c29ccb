"""A TCP relay between a SuperNode and its server: a link that a test can cut and heal."""

import socket
import threading
from contextlib import suppress


class Relay:
    """Passes bytes both ways between whoever connects and a server, while it is whole."""

    def __init__(self, host: str, port: int) -> None:
        self._target, self._open, self._lock = (host, port), set(), threading.Lock()
        self.port, self.passed = 0, 0
        self.heal()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def heal(self) -> None:
        """Take connections, under the same address each time."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        with self._lock:
            self._open.add(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        with self._lock:
            ended, self._open = self._open, set()
        for one in ended:
            _close(one)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(self._target)
                except OSError:
                    _close(near)
                    continue
                with self._lock:
                    self._open |= {near, far}
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(2**16):
                target.sendall(piece)
                self.passed += len(piece)
        _close(source)
        _close(target)
        with self._lock:
            self._open -= {source, target}


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
