"""Certificates, secrets and keys are renewed; sites leave."""

from typing import TYPE_CHECKING, Annotated

import typer

from scenarios.deployment.layout import Layout
from scenarios.deployment.options import Folder

if TYPE_CHECKING:
    from scenarios.deployment.operator import Operator

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="SITE", help="name of a site")]
Offline = Annotated[
    bool, typer.Option("--offline", help="tell no SuperLink: none knows the site, or `register` does it later")
]


@app.command()
def renew(
    folder: Folder,
    certificates: Annotated[bool, typer.Option("--certificates", help="the server's key and certificate")] = False,
    secrets: Annotated[bool, typer.Option("--secrets", help="the secrets of all SuperExecs")] = False,
) -> None:
    """Renew the server's certificate and all secrets, or one of them; nothing else changes."""
    from scenarios.deployment import upkeep

    layout, both = Layout.load(folder), certificates == secrets
    if certificates or both:
        upkeep.renew_certificate(layout)
        print(f"{layout.certificate}: renewed; start superlink and gateway anew")
    if secrets or both:
        upkeep.renew_secrets(layout)
        print(f"{layout.server_secret.parent}: renewed; start everything anew, and send each site its own secret")


@app.command()
def rotate(folder: Folder, name: Name, offline: Offline = False) -> None:
    """Give a site a new key; the old one is refused from now on."""
    from scenarios.deployment import upkeep

    layout = Layout.load(folder)
    upkeep.rotate(layout, name, _operator(layout, offline))
    print(f"{layout.site(name).key}: new; send it to {name}, and start supernode-{name} anew")


@app.command()
def remove(folder: Folder, name: Name, offline: Offline = False) -> None:
    """Take a site out: its key is refused from now on, and its files are moved aside."""
    from scenarios.deployment import upkeep

    layout = Layout.load(folder)
    upkeep.remove(layout, name, _operator(layout, offline))
    print(
        f"{name} is out, its files are in {layout.removed / name}; start everything anew, since the sites after it are "
        "counted one less; `manifold forget` takes its region out of a world model"
    )


def _operator(layout: Layout, offline: bool) -> "Operator | None":
    from scenarios.deployment.up import operator_of

    return None if offline else operator_of(layout)
