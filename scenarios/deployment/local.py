"""A whole deployment on this machine without containers: real processes on loopback, over TLS, nodes authenticated."""

import os
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from scenarios.deployment.layout import Layout, Site
from scenarios.deployment.operator import Operator
from scenarios.deployment.processes import Processes, free_ports
from scenarios.deployment.warm import host_command, node_command, write_launcher

START_TIMEOUT = 120.0
"""Seconds that a server may take until it answers."""

PAUSE = 0.2
TASK_POLL = 0.2
"""Seconds between two looks of a SuperExec for work; Flower's own are 1.0."""

IN_MEMORY = ":flwr-in-memory:"
"""Flower's name of a database that is no file."""


@dataclass(frozen=True)
class Ports:
    """Where the servers listen, found free at the start."""

    superlink: int
    supernodes: tuple[int, ...]

    @staticmethod
    def free(sites: int) -> "Ports":
        first, *others = free_ports(1 + sites)
        return Ports(first, tuple(others))


@dataclass(frozen=True)
class LocalDeployment:
    """The processes of a deployment. Each has a folder for its state and a log; all end with `processes`.

    Attributes:
        layout: whose folder is absolute.
        durable: whether a SuperLink that is started again goes on where it was: its database is a file, and rounds take
            twice as long.
    """

    layout: Layout
    processes: Processes
    ports: Ports
    durable: bool = False

    @property
    def operator(self) -> Operator:
        return Operator(f"127.0.0.1:{self.ports.superlink}", self.layout.ca)

    def start(self, doors: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start everything, the server first, and make the sites' keys known to it.

        Args:
            doors: by which address a site reaches the SuperLink, where that is not its own.
        Raises:
            ProcessLostError: a process ended.
            RuntimeError: the SuperLink does not answer in time.
        """
        shutil.rmtree(self.layout.state, ignore_errors=True)  # a run that is over needs none of it
        for folder in (self.layout.state, self.layout.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._start_host()
        self.start_server()
        self.operator.register(self.layout)
        for site in self.layout.sites:
            self.start_supernode(site, doors.get(site.name))
            self.start_client_executor(site)

    def start_server(self) -> None:
        """The SuperLink, and what starts ServerApps; returns when the SuperLink answers."""
        self.start_superlink()
        self._await_health()
        self._start(
            "superexec-server",
            "flower-superexec",
            *self._executor(self.ports.superlink, self.layout.server_secret),
            environment={"MANIFOLD_DATA": str(self.layout.server_data)},
        )

    def start_superlink(self) -> None:
        self._start(
            "superlink",
            "flower-superlink",
            *("--host", "127.0.0.1", "--port", str(self.ports.superlink)),
            *self._server_certificate(),
            *("--isolation", "process", "--enable-supernode-auth", "--disable-runtime-dependency-installation"),
            *("--superexec-auth-secret-file", str(self.layout.server_secret)),
            *("--database", str(self.layout.state / "superlink.db") if self.durable else IN_MEMORY),
        )

    def _start_host(self) -> None:
        """What ClientApps are forks of; until it listens they start without it."""
        launchers, socket = self.layout.state / "bin", self.layout.state / "host.sock"
        launchers.mkdir(mode=0o700)
        write_launcher(launchers, socket)
        self._start("clientapps", *host_command(socket))

    def start_supernode(self, site: Site, door: str | None = None) -> None:
        """A site's node, which holds its key; `door` is where it reaches the SuperLink, if not at its own address."""
        self._start(
            f"supernode-{site.name}",
            *node_command(),
            *("--superlink", door or self.operator.address, "--root-certificates", str(self.layout.ca)),
            *("--auth-supernode-private-key", str(site.key)),
            *("--host", "127.0.0.1", "--port", str(self.ports.supernodes[site.number])),
            *self._server_certificate(),
            *("--isolation", "process", "--superexec-auth-secret-file", str(site.secret)),
            *("--node-config", f"partition-id={site.number} num-partitions={len(self.layout.sites)}"),
        )

    def start_client_executor(self, site: Site, **environment: str) -> None:
        """What starts a site's ClientApps, which are told of its data and of nobody else's.

        Args:
            environment: variables of its own.
        """
        port = self.ports.supernodes[site.number]
        self._start(
            f"superexec-{site.name}",
            "flower-superexec",
            *self._executor(port, site.secret),
            environment={"MANIFOLD_DATA": str(site.data)} | environment,
        )

    def _start(self, name: str, command: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        home, binaries = self.layout.state / name, Path(sys.executable).parent
        home.mkdir(mode=0o700, exist_ok=True)
        folders = (self.layout.state / "bin", binaries, os.environ["PATH"])
        shared = os.environ | {
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": str(TASK_POLL),
            "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // len(self.layout.sites))),
            "PATH": os.pathsep.join(map(str, folders)),
        }
        log = self.layout.logs / f"{name}.log"
        self.processes.start(name, [str(binaries / command), *arguments], shared | (environment or {}), log)

    def _server_certificate(self) -> tuple[str, ...]:
        layout = self.layout
        files = {"ca-certfile": layout.ca, "certfile": layout.certificate, "keyfile": layout.certificate_key}
        return tuple(word for name, path in files.items() for word in (f"--ssl-{name}", str(path)))

    def _executor(self, port: int, secret: Path) -> tuple[str, ...]:
        """A SuperExec's arguments; it ends with this process, whatever ends that."""
        return (
            *("--runtime-api-address", f"127.0.0.1:{port}", "--root-certificates", str(self.layout.ca)),
            *("--superexec-auth-secret-file", str(secret), "--parent-pid", str(os.getpid())),
        )

    def _await_health(self) -> None:
        trust = ssl.create_default_context(cafile=str(self.layout.ca))
        until = time.monotonic() + START_TIMEOUT
        while time.monotonic() < until:
            self.processes.check()
            try:
                with urllib.request.urlopen(f"https://{self.operator.address}/health", context=trust, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(PAUSE)
        raise RuntimeError(f"the SuperLink does not answer after {START_TIMEOUT:.0f} s; see {self.layout.logs}")
