"""A whole deployment on this machine for as long as it is wanted, from free ports to the last process's end."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from federation.opening import open_run, open_scenario, run_config
from federation.rules import InputError
from federation.world_model import MANIFEST
from scenarios.deployment.check import problems
from scenarios.deployment.init import check_new, initialise
from scenarios.deployment.layout import Layout
from scenarios.deployment.live import Live
from scenarios.deployment.local import LocalDeployment, Ports
from scenarios.deployment.operator import Operator
from scenarios.deployment.own_data import agreed, complete, split, undistributed
from scenarios.deployment.processes import Processes, ProcessLostError
from scenarios.deployment.submission import Run, configured, described, fitted, followed, prepared, resumable, started
from scenarios.runs.folder import RUNS, RunFolder, check_out

DEFAULT_SITES = 3
Show = Callable[[str], None]
"""Is given lines to print."""


def run_here(
    folder: Path | None,
    scenario: str,
    overrides: Mapping[str, Any],
    seed: int,
    sites: int | None,
    out: Path | None,
    show: Show,
) -> Path:
    """Start a deployment, run a scenario on it, and end all its processes; gives the folder of the results.

    Each site reads its own file. Where a deployment has none yet, the scenario's samples are split over its sites.
    Args:
        folder: of the deployment, an old or a new one; inside that of the results where it is not set.
        sites: those of the deployment, or the scenario's clients, where it is not set.
        out: a new folder for the results.
    Raises:
        RunFailedError: the run failed.
        ProcessLostError: a process ended that should not.
    """
    check_out(out)
    known = _existing(folder, sites)
    if known is not None and agreed(known):
        wanted = dict(overrides)
        configured(complete(known), scenario, wanted)
        kept = RunFolder.create(out, open_scenario(scenario, wanted).scenario.name)
        layout = known
    else:
        count, chosen = _distributed(known, scenario, overrides, seed, sites)
        kept = RunFolder.create(out, open_scenario(scenario, chosen).scenario.name)
        layout = known or initialise(folder or kept.path / "deployment", count)
        split(layout, scenario, chosen, seed)
        wanted = undistributed(overrides)
    return _through(layout, prepared(layout, scenario, wanted, seed), kept, show)


def resume_here(folder: Path, out: Path | None, show: Show) -> Path:
    """Start a deployment again, go on with its last run after the last round that is written down, and end it.

    Raises:
        InputError: no run was started from there, or the last one is finished.
        RunFailedError, ProcessLostError: as `run_here`.
    """
    check_out(out)
    layout = complete(_startable(folder))
    run = resumable(layout)
    if (layout.results / run.name / MANIFEST).exists():
        raise InputError(f"run {run.name} is finished; its world model is in {layout.results / run.name}")
    return _through(layout, run, RunFolder.create(out, run.name), show, resume=True)


def _through(layout: Layout, run: Run, kept: RunFolder, show: Show, resume: bool = False) -> Path:
    """Take a run to its end on a deployment that is up for as long, and copy its results."""
    with running(layout, show) as here:
        submitted = started(layout, here.operator, run, here.layout.results, resume)
        followed(here.operator, submitted, show, here.processes.check)
    shutil.copytree(layout.results / run.name, kept.path, dirs_exist_ok=True)
    kept.write_text("run.json", described(submitted))
    return kept.path


def serve_here(folder: Path | None, sites: int | None, show: Show) -> None:
    """Keep a deployment up until a signal ends it, for runs that others start; all of it starts anew where a site has
    left, or has another key."""
    known = _existing(folder, sites)
    place = folder or RUNS / f"deployment-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    layout = known or initialise(place, sites or DEFAULT_SITES)
    while True:
        with running(layout, show) as here:
            show(f"up; `manifold deploy run {here.layout.root} SCENARIO` runs on it, Ctrl-C ends it")
            layout = _changed(here)
            show("sites or their keys have changed; all start anew")


def _changed(here: LocalDeployment) -> Layout:
    """Wait until the folder of a deployment that is up names other sites, or holds other keys of theirs.

    Raises:
        ProcessLostError: a process has ended, and nothing has changed.
    """
    known = _keys(here.layout)
    while True:
        try:
            here.processes.check()
        except ProcessLostError:
            time.sleep(2)  # whoever is expelled ends before its files are moved
            if _keys(Layout.load(here.layout.root)) == known:
                raise
        if _keys(now := Layout.load(here.layout.root)) != known:
            return now
        time.sleep(1)


def _keys(layout: Layout) -> dict[str, bytes]:
    return {site.name: site.public_key.read_bytes() for site in layout.sites}


@contextmanager
def running(layout: Layout, show: Show, durable: bool = False) -> Iterator[LocalDeployment]:
    """A deployment whose processes all end when the block does, also where a signal ends it."""
    layout = Layout(layout.root.resolve(), layout.description)  # children may work in other folders
    with terminable(), Processes() as processes:
        here = LocalDeployment(layout, processes, Ports.free(len(layout.sites)), durable)
        try:
            show(
                f"starting a SuperLink on {here.operator.address} and {len(layout.sites)} sites; logs in {layout.logs}"
            )
            here.start()
            Live.of(here.ports.superlink, processes.all).save(layout)
            yield here
        finally:
            processes.end()
            layout.live.unlink(missing_ok=True)


@contextmanager
def terminable() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP interrupt like Ctrl-C, so that everything is ended in order."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def operator_of(layout: Layout) -> Operator:
    """Where the deployment's SuperLink is: one that runs on this machine now, or the containers'."""
    live = Live.load(layout)
    return Operator(f"127.0.0.1:{live.port if live else layout.description.ports.control}", layout.ca)


def sound(layout: Layout) -> Layout:
    """The layout, if nothing is wrong with it.

    Raises:
        InputError: something is; the first problem.
    """
    if found := problems(layout):
        raise InputError(f"{found[0]} ({len(found)} problems; `manifold deploy check {layout.root}` shows all)")
    return layout


def _existing(folder: Path | None, sites: int | None) -> Layout | None:
    """The deployment in a folder, if one is there and may be started."""
    if folder is None or not (folder / "deployment.json").exists():
        if folder is not None:
            check_new(folder)
        return None
    layout = _startable(folder)
    if sites not in (None, len(layout.sites)):
        raise InputError(f"{folder} has {len(layout.sites)} sites, not {sites}; leave --sites out")
    return layout


def _startable(folder: Path) -> Layout:
    """The deployment in a folder, if nothing is wrong with it and it is not up."""
    layout = sound(Layout.load(folder))
    if Live.load(layout):
        raise InputError(f"{folder} is up already; end it by `manifold deploy down {folder}`")
    return layout


def _distributed(
    known: Layout | None, scenario: str, overrides: Mapping[str, Any], seed: int, sites: int | None
) -> tuple[int, dict[str, Any]]:
    """How many sites there are, and the overrides by which a scenario's samples are split over them."""
    count = sites or (len(known.sites) if known else _clients(scenario, overrides, seed))
    chosen = fitted(scenario, overrides, count)
    if (clients := _clients(scenario, chosen, seed)) != count:
        raise InputError(f"{scenario} has {clients} clients, but there are {count} sites; use --sites {clients}")
    return count, chosen


def _clients(scenario: str, overrides: Mapping[str, Any], seed: int) -> int:
    return len(open_run(run_config(scenario, overrides, seed)).federation().clients)
