"""What runs in a deployment, told once: the compose file and the Kubernetes manifests are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scenarios.deployment.layout import Layout, Site

USER = 49_999
"""The containers' user and group, as the Dockerfile has them."""
SUPERLINK, GATEWAY, SUPERNODE = 8000, 8443, 9094
"""Ports inside the containers."""
SECRETS = "/run/secrets"
CA = f"{SECRETS}/ca.crt"
DATA = "/data"


@dataclass(frozen=True)
class Service:
    """One container.

    Attributes:
        place: those of the same place may share a machine, a pod and a name.
        target: of the Dockerfile; `image` is what it becomes.
        command: nothing where the image knows.
        files: name under /run/secrets -> file of the deployment; a container sees no others.
        health: a URL that answers 200 while all is well.
        networks: it meets those services that share one with it.
        ports: published port -> port inside.
        volumes: name of a volume that outlives the container -> where it is mounted.
        data: folder that is mounted read-only at DATA.
        memory: limit in MiB; `cpus` and `pids` are limits, too.
    """

    name: str
    place: str
    target: str
    image: str
    command: tuple[str, ...]
    files: Mapping[str, Path]
    health: str
    networks: tuple[str, ...]
    ports: Mapping[int, int] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    data: Path | None = None
    memory: int = 1024
    cpus: int = 1
    pids: int = 256

    @property
    def probe(self) -> tuple[str, ...]:
        """The command that succeeds while `health` answers."""
        return ("python3", "/etc/manifold/health.py", self.health)


def services(layout: Layout, one_pod: bool = False) -> tuple[Service, ...]:
    """All containers of a deployment.

    Args:
        one_pod: whether the two of a site share the loopback device, as they do in a pod.
    """
    pairs = [pair for site in layout.sites for pair in _site(layout, site, one_pod)]
    return (_superlink(layout), _superexec(layout), _gateway(layout), *pairs)


def _superlink(layout: Layout) -> Service:
    """It is published for the operator, whose Control API asks nobody who they are."""
    return Service(
        name="superlink",
        place="superlink",
        target="manifold",
        image=layout.description.image,
        command=(
            *("flower-superlink", "--host", "0.0.0.0", "--port", str(SUPERLINK), "--database", "/state/superlink.db"),
            *("--ssl-ca-certfile", CA, "--ssl-certfile", f"{SECRETS}/server.pem"),
            *("--ssl-keyfile", f"{SECRETS}/server.key", "--enable-supernode-auth", "--isolation", "process"),
            *("--superexec-auth-secret-file", f"{SECRETS}/superexec", "--disable-runtime-dependency-installation"),
        ),
        files={
            "ca.crt": layout.ca,
            "server.pem": layout.certificate,
            "server.key": layout.certificate_key,
            "superexec": layout.server_secret,
        },
        health=f"https://localhost:{SUPERLINK}/health",
        networks=("operator", "server"),
        ports={layout.description.ports.control: SUPERLINK},
        volumes={"state": "/state"},
    )


def _superexec(layout: Layout) -> Service:
    """It runs the ServerApp, which writes checkpoints and the world model to /results."""
    return Service(
        name="superexec-server",
        place="superexec-server",
        target="manifold",
        image=layout.description.image,
        command=(
            *("flower-superexec", "--runtime-api-address", f"superlink:{SUPERLINK}", "--root-certificates", CA),
            *("--superexec-auth-secret-file", f"{SECRETS}/superexec"),
        ),
        files={"ca.crt": layout.ca, "superexec": layout.server_secret},
        health=f"https://superlink:{SUPERLINK}/health",
        networks=("server",),
        volumes={"results": "/results"},
        data=layout.server_data,
        memory=4096,
        cpus=2,
        pids=512,
    )


def _gateway(layout: Layout) -> Service:
    """All that sites see of the server."""
    return Service(
        name="gateway",
        place="gateway",
        target="gateway",
        image=f"{layout.description.image}-gateway",
        command=(),
        files={"ca.crt": layout.ca, "server.pem": layout.certificate, "server.key": layout.certificate_key},
        health=f"https://localhost:{GATEWAY}/health",
        networks=("outside", "server", *(f"{site.name}-fleet" for site in layout.sites)),
        ports={layout.description.ports.gateway: GATEWAY},
        memory=256,
    )


def _site(layout: Layout, site: Site, one_pod: bool) -> tuple[Service, Service]:
    """The SuperNode has the key and no data, and the SuperExec, which runs the ClientApp, the data and no key."""
    address = f"{'127.0.0.1' if one_pod else f'supernode-{site.name}'}:{SUPERNODE}"
    node = Service(
        name=f"supernode-{site.name}",
        place=site.name,
        target="manifold",
        image=layout.description.image,
        command=(
            *("flower-supernode", "--superlink", f"gateway:{GATEWAY}", "--root-certificates", CA),
            *("--auth-supernode-private-key", f"{SECRETS}/key", "--isolation", "process"),
            *("--host", "127.0.0.1" if one_pod else "0.0.0.0", "--port", str(SUPERNODE)),
            *("--superexec-auth-secret-file", f"{SECRETS}/superexec"),
            *("--node-config", f"partition-id={site.number} num-partitions={len(layout.sites)}"),
        ),
        files={"ca.crt": layout.ca, "key": site.key, "superexec": site.secret},
        health=f"http://localhost:{SUPERNODE}/health",
        networks=(f"{site.name}-fleet", f"{site.name}-inside"),
    )
    client = Service(
        name=f"superexec-{site.name}",
        place=site.name,
        target="manifold",
        image=layout.description.image,
        command=(
            *("/etc/manifold/clients.sh", "flower-superexec", "--runtime-api-address", address, "--insecure"),
            *("--superexec-auth-secret-file", f"{SECRETS}/superexec"),
        ),
        files={"superexec": site.secret},
        health=f"http://{address}/health",
        networks=(f"{site.name}-inside",),
        data=site.data,
        memory=4096,
        cpus=2,
        pids=512,
    )
    return node, client
