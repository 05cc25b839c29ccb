"""The folder of a deployment: which sites it has, and where each of its files lies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from federation.rules import Frozen, InputError, Several, nearest

VERSION = 1
IMAGE = "manifold-federation:latest"
CONNECTION = "manifold"
"""The name of the connection in the operator's Flower configuration."""

SERVER_NAMES = ("localhost", "127.0.0.1", "superlink", "gateway")
"""Names and addresses under which the server is always known, whatever others a deployment adds."""


class Ports(Frozen):
    """Ports of the operator's machine.

    Attributes:
        control: of the SuperLink, for the operator alone, on loopback.
        gateway: which the sites reach.
    """

    control: int = Field(default=8000, ge=1, le=65535)
    gateway: int = Field(default=8443, ge=1, le=65535)


class Description(Frozen):
    """What `deployment.json` says.

    Attributes:
        created: date and time, ISO 8601, UTC.
        sites: names, in the order of their client numbers.
        hosts: further names of the server that its certificate holds.
        image: of all containers.
    """

    version: Literal[1] = 1
    created: str
    sites: Several[str] = Field(min_length=1)
    hosts: Several[str] = ()
    ports: Ports = Ports()
    image: str = IMAGE


@dataclass(frozen=True)
class Site:
    """One place where data are.

    Attributes:
        number: of its client; Flower's `partition-id`.
        key: private, ECDSA P-384 in OpenSSH's format; `public_key` is its other half.
        secret: what its SuperExec shows its SuperNode.
        data: folder of its own samples, which its ClientApp alone reads.
    """

    root: Path
    name: str
    number: int

    @property
    def key(self) -> Path:
        return self.root / "keys" / self.name

    @property
    def public_key(self) -> Path:
        return self.root / "keys" / f"{self.name}.pub"

    @property
    def secret(self) -> Path:
        return self.root / "secrets" / f"superexec-{self.name}"

    @property
    def data(self) -> Path:
        return self.root / "data" / self.name


@dataclass(frozen=True)
class Layout:
    """A deployment's folder. `state`, `logs`, `results` and `live` are there where it has run without containers."""

    root: Path
    description: Description

    @staticmethod
    def load(root: Path) -> "Layout":
        """The layout of an existing folder.

        Raises:
            InputError: no deployment is there, or one that this version cannot read.
        """
        path = root / "deployment.json"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            raise InputError(
                f"{root} holds no deployment (no deployment.json); make one by `manifold deploy init`"
            ) from None
        try:
            return Layout(root, Description.model_validate_json(text))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise InputError(
                f"{path}: {where}: {first['msg']}; expected version {VERSION}, as `manifold deploy init` writes it"
            ) from None

    @property
    def sites(self) -> tuple[Site, ...]:
        return tuple(Site(self.root, name, number) for number, name in enumerate(self.description.sites))

    def site(self, name: str) -> Site:
        """A site by its name.

        Raises:
            InputError: there is none.
        """
        found = next((site for site in self.sites if site.name == name), None)
        if found is None:
            raise InputError(f"{self.root} has no site {name!r}; {nearest(name, list(self.description.sites))}")
        return found

    @property
    def server_names(self) -> tuple[str, ...]:
        """All names and addresses that the server's certificate is for."""
        return (*SERVER_NAMES, *self.description.hosts)

    @property
    def description_file(self) -> Path:
        return self.root / "deployment.json"

    @property
    def ca(self) -> Path:
        return self.root / "certificates" / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.root / "certificates" / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.root / "certificates" / "server.pem"

    @property
    def certificate_key(self) -> Path:
        return self.root / "certificates" / "server.key"

    @property
    def server_secret(self) -> Path:
        """What the ServerApp's SuperExec shows the SuperLink."""
        return self.root / "secrets" / "superexec-server"

    @property
    def server_data(self) -> Path:
        """Folder of the server's own test set, which may be empty."""
        return self.root / "data" / "server"

    @property
    def task(self) -> Path:
        """What all sites agree on of their samples, where each has a file of its own."""
        return self.root / "task.json"

    @property
    def flower_home(self) -> Path:
        """FLWR_HOME of the operator: its config.toml names the connection."""
        return self.root / "flower"

    @property
    def compose(self) -> Path:
        return self.root / "compose.yaml"

    @property
    def removed(self) -> Path:
        """Where the files of sites lie that have left."""
        return self.root / "removed"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def results(self) -> Path:
        """What ServerApps write, a folder a run."""
        return self.root / "results"

    @property
    def live(self) -> Path:
        """Which processes run now."""
        return self.root / "live.json"

    @property
    def runs(self) -> Path:
        """The runs that were started from here, a line each."""
        return self.root / "runs.jsonl"

    @property
    def private(self) -> tuple[Path, ...]:
        """Files that nobody but their owner may read."""
        keys = [path for site in self.sites for path in (site.key, site.secret)]
        return (self.ca_key, self.certificate_key, self.server_secret, *keys)
