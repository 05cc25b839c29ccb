"""What the operator asks of a SuperLink, over its Control API: nodes, runs and their logs."""

import hashlib
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
from flwr.cli.build import build_fab_from_disk
from flwr.cli.supernode.register import try_load_public_key
from flwr.cli.utils import flwr_cli_exc_handler
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    StreamLogsRequest,
    UnregisterNodeRequest,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from federation.opening import scenario_file
from scenarios.deployment.app_bundle import OWN, write_app
from scenarios.deployment.layout import Layout

PAUSE = 1.0
PATIENCE = 120.0
"""Seconds that a SuperLink may be away while a run is followed; it may be on its way back."""

COMPLETED = "finished:completed"


@dataclass(frozen=True)
class Node:
    """A SuperNode that the SuperLink knows.

    Attributes:
        name: of its site; empty where nobody gave it one.
        status: `registered`, `online` or `offline`.
    """

    number: int
    name: str
    status: str
    public_key: bytes


@dataclass(frozen=True)
class Run:
    """A run as the SuperLink sees it.

    Attributes:
        status: `pending`, `starting`, `running`, or `finished:` with how.
        details: why it failed.
    """

    number: int
    status: str
    details: str

    @property
    def ended(self) -> bool:
        return self.status.startswith("finished")


class UnreachableError(RuntimeError):
    """The SuperLink does not answer, or refuses what it is asked."""


@dataclass(frozen=True)
class Operator:
    """Whoever runs a deployment, at a SuperLink's address."""

    address: str
    ca: Path

    def nodes(self) -> list[Node]:
        """All nodes that are registered."""
        with self._control() as control:
            found = control.ListNodes(ListNodesRequest()).nodes_info
        return [
            Node(node.node_id, node.name, node.status, node.public_key) for node in found if not node.unregistered_at
        ]

    def register(self, layout: Layout) -> list[str]:
        """Make the keys of all sites known; gives the names of those that were not yet."""
        known = {node.public_key for node in self.nodes()}
        keys = {site.name: try_load_public_key(site.public_key) for site in layout.sites}
        new = {name: key for name, key in keys.items() if key not in known}
        with self._control() as control:
            for name, key in new.items():
                control.RegisterNode(RegisterNodeRequest(public_key=key, name=name))
        return list(new)

    def admit(self, name: str, public_key: Path) -> None:
        """Make a key known as that of a site."""
        with self._control() as control:
            control.RegisterNode(RegisterNodeRequest(public_key=try_load_public_key(public_key), name=name))

    def expel(self, name: str, but: Path | None = None) -> int:
        """Unregister all nodes of a site; gives how many there were.

        Args:
            but: the public key that stays.
        """
        kept = None if but is None else try_load_public_key(but)
        found = [node.number for node in self.nodes() if node.name == name and node.public_key != kept]
        with self._control() as control:
            for number in found:
                control.UnregisterNode(UnregisterNodeRequest(node_id=number))
        return len(found)

    def start(self, config: Mapping[str, str | int | bool]) -> int:
        """Start a run of this installation's app; gives its number. The file of a scenario travels with the app."""
        own = scenario_file(str(config["scenario"]))
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a pattern that Flower uses
            content = build_fab_from_disk(write_app(Path(folder) / "app", own))
        named = {} if own is None else {"scenario": OWN}
        fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
        request = StartRunRequest(fab=fab_to_proto(fab), override_config=user_config_to_proto({**config, **named}))
        with self._control() as control:
            return control.StartRun(request).run_id

    def stop(self, run: int) -> None:
        """End a run."""
        with self._control() as control:
            control.StopRun(StopRunRequest(run_id=run))

    def runs(self, run: int | None = None) -> list[Run]:
        """All runs, or one."""
        with self._control() as control:
            found = control.ListRuns(ListRunsRequest(run_id=run)).run_dict.values()
        return [
            Run(run.run_id, ":".join(filter(None, (run.status.status, run.status.sub_status))), run.status.details)
            for run in found
        ]

    def follow(self, run: int, show: Callable[[str], None], check: Callable[[], None] = lambda: None) -> Run:
        """Wait for the end of a run.

        Args:
            show: is given the ServerApp's log, piece by piece.
            check: is called again and again; what it raises ends the waiting.
        Raises:
            UnreachableError: the SuperLink has been away for too long.
        """
        ended = threading.Event()
        reader = threading.Thread(target=self._read_log, args=(run, show, ended), daemon=True)
        reader.start()
        try:
            seen = time.monotonic()
            while True:
                check()
                try:
                    state, seen = self.runs(run)[0], time.monotonic()
                    if state.ended:
                        return state
                except UnreachableError:
                    if time.monotonic() - seen > PATIENCE:
                        raise
                time.sleep(PAUSE)
        finally:
            ended.set()
            reader.join(timeout=5 * PAUSE)

    def _read_log(self, run: int, show: Callable[[str], None], ended: threading.Event) -> None:
        """Read a log to its end; where the connection is lost, go on from there."""
        latest = 0.0
        while True:
            last = ended.is_set()
            with suppress(UnreachableError), self._control() as control:
                for piece in control.StreamLogs(StreamLogsRequest(run_id=run, after_timestamp=latest)):
                    latest = max(latest, piece.latest_timestamp)
                    show(piece.log_output)
            if last:
                return
            ended.wait(PAUSE)

    @contextmanager
    def _control(self) -> Iterator[ControlHttpClient]:
        try:
            client = ControlHttpClient.from_server_address(
                self.address,
                insecure=False,
                root_certificates=self.ca.read_bytes(),
                interceptors=[RuntimeVersionHttpInterceptor("flwr CLI")],
            )
            try:
                with flwr_cli_exc_handler():
                    yield client
            finally:
                client.close()
        except (click.ClickException, OSError) as error:
            text = error.format_message() if isinstance(error, click.ClickException) else str(error)
            raise UnreachableError(f"SuperLink {self.address}: {' '.join(text.split())}") from None
