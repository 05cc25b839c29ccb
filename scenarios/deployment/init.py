"""A new deployment's folder: everything that its places need to know one another, and nothing yet of its runs."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import tomli_w

from federation.rules import InputError
from scenarios.deployment import compose, credentials
from scenarios.deployment.credentials import Content
from scenarios.deployment.layout import CONNECTION, IMAGE, Description, Layout, Ports, Site

HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


def initialise(
    root: Path, sites: int, hosts: Sequence[str] = (), ports: Ports | None = None, image: str = IMAGE
) -> Layout:
    """Make the folder of a deployment.

    Args:
        hosts: names and addresses of the server beyond those that every deployment has.
    Raises:
        InputError: the folder is not empty, cannot be made, or a host is none.
    """
    for host in hosts:
        if not _is_host(host):
            raise InputError(f"--host {host!r}: expected a host name or an IP address")
    described = Description(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sites=tuple(f"site-{number}" for number in range(sites)),
        hosts=tuple(hosts),
        ports=ports or Ports(),
        image=image,
    )
    layout = Layout(root, described)
    _make_folders(layout)
    _make_certificates(layout)
    credentials.write(layout.server_secret, credentials.secret_file())
    for site in layout.sites:
        make_keys(site)
    write_connection(layout.flower_home, f"127.0.0.1:{described.ports.control}", layout.ca)
    compose.write(layout)
    credentials.write(layout.description_file, description_file(described))  # the last: a folder without is none
    return layout


def description_file(described: Description) -> Content:
    """`deployment.json`."""
    return Content((described.model_dump_json(indent=2) + "\n").encode(), credentials.PUBLIC)


def make_keys(site: Site) -> None:
    """A site's key pair and secret."""
    credentials.write_node_key(site.key, site.public_key, credentials.new_key())
    credentials.write(site.secret, credentials.secret_file())


def write_connection(home: Path, address: str, ca: Path) -> None:
    """Flower's configuration of an operator who reaches a SuperLink at `address`."""
    connection = {"address": address, "root-certificates": str(ca.resolve())}
    text = tomli_w.dumps({"superlink": {"default": CONNECTION, CONNECTION: connection}})
    credentials.write(home / "config.toml", Content(text.encode(), credentials.PRIVATE))


def check_new(root: Path) -> None:
    """Refuse a folder with anything in it."""
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise InputError(f"{root} exists already and is not empty; name a new folder")


def _make_folders(layout: Layout) -> None:
    root = layout.root
    check_new(root)
    folders = [root, layout.ca.parent, root / "keys", root / "secrets", layout.flower_home, root / "data"]
    try:
        for folder in (*folders, layout.server_data, *(site.data for site in layout.sites)):
            folder.mkdir(parents=folder == root, exist_ok=folder == root)
            folder.chmod(credentials.FOLDER)
    except OSError as error:
        raise InputError(f"{root} cannot be made ({error.strerror}); name another folder") from None


def _make_certificates(layout: Layout) -> None:
    signer = credentials.authority()
    own = credentials.server(signer, layout.server_names)
    credentials.write(layout.ca, credentials.certificate_file(signer.certificate))
    credentials.write(layout.ca_key, credentials.key_file(signer.key))
    credentials.write(layout.certificate, credentials.certificate_file(own.certificate))
    credentials.write(layout.certificate_key, credentials.key_file(own.key))


def _is_host(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return HOST.fullmatch(name) is not None
    return True
