"""Real deployments: real sites, a real server, TLS and authenticated nodes, in containers or on this machine."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from federation.rules import InputError
from scenarios.deployment.containers import RESULTS, Containers, here
from scenarios.deployment.layout import IMAGE, Layout, Ports
from scenarios.deployment.live import Live
from scenarios.deployment.options import Folder
from scenarios.deployment.upkeep_cli import app as upkeep
from scenarios.runs.folder import RunFolder, check_out
from scenarios.runs.options import OneMethod, Seed, Settings, grouped

if TYPE_CHECKING:
    from scenarios.deployment.submission import Run

app = typer.Typer(no_args_is_help=True, help=__doc__)
app.add_typer(upkeep)

Sites = Annotated[int | None, typer.Option("--sites", min=1, help="number of sites")]


def _absolute(given: str | None) -> str | None:
    from federation.opening import absolute

    return given and absolute(given)


SCENARIO = typer.Argument(metavar="SCENARIO", help="name of a scenario, or path of a scenario file", callback=_absolute)
Scenario = Annotated[str | None, SCENARIO]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint of the last run")]
Tool = Annotated[str | None, typer.Option("--compose", help="command that reads compose files; default what is here")]
Name = Annotated[str | None, typer.Option("--run", help="name of the run; default the last one")]


@app.command()
def init(
    folder: Folder,
    sites: Annotated[int, typer.Option("--sites", min=1, help="number of sites")] = 3,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="further name or address of the server; may be repeated")
    ] = None,
    control_port: Annotated[int, typer.Option(min=1, max=65535, help="the SuperLink's, for the operator")] = 8000,
    gateway_port: Annotated[int, typer.Option(min=1, max=65535, help="the gateway's, for the sites")] = 8443,
    image: Annotated[str, typer.Option(help="image of the containers")] = IMAGE,
) -> None:
    """Make a new deployment's folder: certificates, keys, secrets and a compose file. Nothing is written over."""
    from scenarios.deployment.init import initialise

    layout = initialise(folder, sites, host or (), Ports(control=control_port, gateway=gateway_port), image)
    print(f"{folder}: {sites} sites; keep {layout.ca_key} and {layout.root / 'keys'} to yourself")


@app.command()
def check(folder: Folder) -> None:
    """Look for what is wrong with a deployment's folder; one line each, and exit status 2 where there is anything."""
    from scenarios.deployment.check import problems
    from scenarios.deployment.own_data import absent

    layout = Layout.load(folder)
    found = problems(layout)
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        raise typer.Exit(2)
    elsewhere = absent(layout)
    print(f"all good; the samples of {', '.join(elsewhere)} are not on this machine" if elsewhere else "all good")


@app.command()
@grouped
def split(folder: Folder, scenario: Annotated[str, SCENARIO], settings: Settings, seed: Seed = 0) -> None:
    """Write each client's samples of a scenario into its site's folder, for a trial. Nothing is written over."""
    from scenarios.deployment import own_data
    from scenarios.deployment.submission import fitted

    layout = Layout.load(folder)
    overrides = fitted(scenario, settings.overrides(), len(layout.sites))
    own_data.split(layout, scenario, overrides, seed)
    print(f"{layout.root}/data: a file of {scenario} for each of {len(layout.sites)} sites, and the server's test set")


@app.command()
def task(
    folder: Folder,
    shape: Annotated[str | None, typer.Option("--shape", help="of one sample, such as 1,28,28 or 16")] = None,
    classes: Annotated[int | None, typer.Option("--classes", min=2, help="how many classes there are")] = None,
    values: Annotated[int | None, typer.Option("--values", min=1, help="how many real values a target has")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="column of raw rows to be learned")] = None,
    kind: Annotated[
        Literal["classification", "regression"] | None, typer.Option("--task", help="what labels of raw rows are")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="column that is not learned from")] = None,
) -> None:
    """Say what all sites' samples have in common, or what columns of raw rows mean; then each site brings a file."""
    from federation.data.own import Meaning
    from federation.data.sites import OWN
    from scenarios.deployment import own_data

    layout = Layout.load(folder)
    meaning = Meaning(label=label or (), task=kind, ignore=ignore or ())
    own_data.agree(layout, own_data.terms_of(shape, classes, values, meaning))
    print(f"{layout.task}: each site now reads {layout.sites[0].data.parent}/SITE/{OWN}")


@app.command()
@grouped
def up(
    settings: Settings,
    one: OneMethod,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="folder of the deployment")] = None,
    scenario: Scenario = None,
    local: Annotated[bool, typer.Option("--local", help="without containers, on this machine, for one run")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="with --local: stay up until Ctrl-C, for `manifold deploy run`")
    ] = False,
    sites: Sites = None,
    seed: Seed = 0,
    resume: Resume = False,
    out: Annotated[Path | None, typer.Option("--out", help="new folder for the results")] = None,
    compose: Tool = None,
) -> None:
    """Start a deployment: its containers, or with --local processes of this machine that run one scenario and end."""
    from federation.opening import scenario_names
    from scenarios.deployment.up import resume_here, run_here, serve_here, sound
    from scenarios.runs.methods import with_method

    if not local:
        if folder is None:
            raise InputError("name the folder of the deployment whose containers shall start, or use --local")
        return Containers.of(sound(Layout.load(folder)), compose).up()
    if resume:
        if folder is None or serve or scenario or seed or sites or settings != Settings() or one != OneMethod():
            raise InputError("--local --resume goes on with the last run of DIR, and takes no other settings but --out")
        return print(f"model in {resume_here(folder, out, _show)}")
    if folder is not None and scenario is None and (folder.suffix == ".py" or str(folder) in scenario_names()):
        folder, scenario = None, _absolute(str(folder))
    if serve:
        return serve_here(folder, sites, _show)
    overrides = with_method(one.method, one.rounds, scenario or "digits", settings.overrides())
    return print(f"model in {run_here(folder, scenario or 'digits', overrides, seed, sites, out, _show)}")


@app.command("compose")
def show_compose(folder: Folder) -> None:
    """Print the compose file of a deployment as its deployment.json describes it now."""
    from scenarios.deployment import compose as compose_file

    layout = Layout.load(folder)
    print(compose_file.render(layout, user=compose_file.user_of(layout)), end="")


@app.command("kubernetes")
def show_kubernetes(folder: Folder) -> None:
    """Print a deployment's Kubernetes manifests, and the commands that make the secrets which they name."""
    from scenarios.deployment import kubernetes

    print(kubernetes.render(Layout.load(folder)), end="")


@app.command()
def register(folder: Folder) -> None:
    """Make the sites' keys known to the SuperLink; those that it knows already are left alone."""
    from scenarios.deployment.up import operator_of

    layout = Layout.load(folder)
    new = operator_of(layout).register(layout)
    print(f"registered {', '.join(new)}" if new else f"all {len(layout.sites)} sites were registered already")


@app.command()
@grouped
def run(
    folder: Folder,
    settings: Settings,
    one: OneMethod,
    scenario: Scenario = None,
    seed: Seed = 0,
    resume: Resume = False,
) -> None:
    """Run a scenario on a deployment that is up, and follow it to its end."""
    from scenarios.deployment.submission import followed, started
    from scenarios.deployment.up import operator_of

    layout = Layout.load(folder)
    wanted = _wanted(layout, scenario, settings, seed, one, resume)
    results = layout.results.resolve() if Live.load(layout) else RESULTS
    operator = operator_of(layout)
    submitted = started(layout, operator, wanted, results, resume)
    print(f"run {submitted.number}, {submitted.name}", flush=True)
    followed(operator, submitted, _show)


@app.command()
def status(folder: Folder) -> None:
    """The nodes that the SuperLink knows, and its runs."""
    from scenarios.deployment.up import operator_of

    operator, console = operator_of(Layout.load(folder)), Console()
    nodes, runs = Table("site", "node", "status"), Table("run", "status", "why")
    for node in operator.nodes():
        nodes.add_row(node.name, str(node.number), node.status)
    for one in operator.runs():
        runs.add_row(str(one.number), one.status, one.details)
    console.print(nodes)
    console.print(runs)


@app.command()
def fetch(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", help="new folder for the results")],
    name: Name = None,
    compose: Tool = None,
) -> None:
    """Copy a run's world model and metrics from the server."""
    from scenarios.deployment.submission import described, recorded

    layout = Layout.load(folder)
    known = recorded(layout, name)
    check_out(out)
    source = layout.results / known.name
    with tempfile.TemporaryDirectory() as temporary:
        if not source.is_dir():
            source = Path(temporary)
            Containers.of(layout, compose).fetch(known.name, source)
        kept = RunFolder.create(out, known.name)
        shutil.copytree(source, kept.path, dirs_exist_ok=True)
    kept.write_text("run.json", described(known))
    print(f"model in {kept.path}")


@app.command()
def down(folder: Folder, compose: Tool = None) -> None:
    """End a deployment: its processes on this machine, or its containers. What the server holds stays."""
    layout = Layout.load(folder)
    if live := Live.load(layout):
        live.end()
        layout.live.unlink(missing_ok=True)
    elif layout.logs.is_dir() and compose is None and not here():
        print("nothing runs")
    else:
        Containers.of(layout, compose).down()


def _wanted(layout: Layout, scenario: str | None, settings: Settings, seed: int, one: OneMethod, resume: bool) -> "Run":
    from scenarios.deployment.submission import prepared, resumable

    if not resume and scenario is not None:
        return prepared(layout, scenario, settings.overrides(), seed, one.method, one.rounds)
    if resume and not (scenario or seed or settings != Settings() or one != OneMethod()):
        return resumable(layout)
    raise InputError("expected either SCENARIO with its settings, or --resume alone, which goes on with the last run")


def _show(line: str) -> None:
    print(line, flush=True)
