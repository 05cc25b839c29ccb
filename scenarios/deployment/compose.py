"""The compose file of a deployment, and files that its containers can read.

`python -m scenarios.deployment.compose > docker-compose.yml` makes the one at the top of the repository.
"""

import json
import os
import shlex
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from scenarios.deployment import credentials
from scenarios.deployment.layout import Description, Layout
from scenarios.deployment.services import USER, services

LISTEN = {"superlink": "127.0.0.1", "gateway": "${MANIFOLD_LISTEN:-127.0.0.1}"}
"""Addresses of the host on which ports are published."""
BUILDERS = ("superlink", "gateway")
"""The first service of each image; the others find what these build."""
OPEN = ("operator", "outside")
"""Networks with a way out, as published ports need it."""


def render(layout: Layout, folder: str = ".", user: str = str(USER), build: str | None = None) -> str:
    """The compose file of a deployment.

    Args:
        folder: of the deployment, as seen from the compose file.
        user: number of the user that all containers run as, who must be able to read the deployment's files.
        build: folder of the Dockerfile; without it the images are there already.
    """
    environment = Environment(
        loader=PackageLoader("scenarios.deployment", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["here"] = lambda path: f"./{Path(folder, path.relative_to(layout.root)).as_posix()}"
    environment.filters["flow"] = lambda words: f"[{', '.join(words)}]"
    environment.filters["json"] = json.dumps
    environment.filters["lines"] = lambda words: shlex.join(words).replace(" --", "\n--")
    all_ = services(layout)
    return environment.get_template("compose.yaml.j2").render(
        sites=len(layout.sites),
        folder=folder,
        user=user,
        group=USER,
        build=build,
        builders=BUILDERS,
        listen=LISTEN,
        open=OPEN,
        services=all_,
        networks=list(dict.fromkeys(name for service in all_ for name in service.networks)),
        volumes=[name for service in all_ for name in service.volumes],
        files=list(dict.fromkeys(file for service in all_ for file in service.files.values())),
    )


def write(layout: Layout) -> None:
    """Write a deployment's compose file, in which containers run as the owner of its other files.

    Since none may run as root, what they must read of root's is handed over to `USER`.
    """
    if layout.root.stat().st_uid == 0:
        for path in {file for service in services(layout) for file in (*service.files.values(), service.data) if file}:
            os.chown(path, USER, USER)
    credentials.write(layout.compose, file_of(layout))


def file_of(layout: Layout) -> credentials.Content:
    """A deployment's compose file."""
    return credentials.Content(render(layout, user=user_of(layout)).encode(), credentials.PUBLIC)


def user_of(layout: Layout) -> str:
    """Number of the user that a deployment's containers run as."""
    return str(layout.root.stat().st_uid or USER)


def example(sites: int) -> Layout:
    """A deployment in the folder `deployment`, as the top-level compose file expects it."""
    return Layout(Path("deployment"), Description(created="", sites=tuple(f"site-{n}" for n in range(sites))))


if __name__ == "__main__":
    print(render(example(3), "deployment", user=f"${{MANIFOLD_USER:-{USER}}}", build="."), end="")
