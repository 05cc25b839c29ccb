"""A run of a deployment: what is asked of it, how it is followed, and when it has failed."""

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from federation.opening import open_run, open_scenario, run_config
from federation.rules import Frozen, InputError
from scenarios.deployment.layout import Layout
from scenarios.deployment.operator import COMPLETED, Operator
from scenarios.deployment.operator import Run as State
from scenarios.deployment.own_data import agreed, settings
from scenarios.runs.methods import with_method
from server.app import REFUSED

NOISE = re.compile(r"^(\x1b\[\d+m)?(INFO|DEBUG) |^Successfully installed |^\s*$")
"""What Flower itself says of each step."""

LEAST_COUNT = 10
"""Samples whose moments a deployed site sends, at least."""

SAVED = "model in"
"""How the ServerApp says that it has written its results."""


class RunFailedError(RuntimeError):
    """A run failed, or ended without results. The message says why."""


class Run(Frozen):
    """A run that was started from a deployment's folder.

    Attributes:
        number: the SuperLink's.
        name: of the folder of its results at the server.
    """

    number: int
    name: str
    scenario: str
    overrides: Mapping[str, Any]
    seed: int


def fitted(scenario: str, overrides: Mapping[str, Any], sites: int) -> dict[str, Any]:
    """Overrides with as many clients as there are sites, where the scenario lets one choose.

    Raises:
        InputError: the overrides ask for another number of clients.
    """
    asked = overrides.get("partition.clients")
    if asked not in (None, sites):
        raise InputError(f"partition.clients={asked}, but the deployment has {sites} sites; leave it out")
    chooses = hasattr(open_scenario(scenario, overrides).scenario.partition, "clients")
    return {**overrides, "partition.clients": sites} if chooses else dict(overrides)


def configured(layout: Layout, scenario: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides by which a scenario runs on a deployment: on the sites' own files, if they agree on a task.

    Raises:
        InputError: they ask for what the deployment does not have.
    """
    if terms := agreed(layout):
        return discreet(scenario, settings(layout, terms, scenario, overrides))
    return discreet(scenario, fitted(scenario, overrides, len(layout.sites)))


def discreet(scenario: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides by which sites send moments of ten samples or more, where nothing else is asked for."""
    least = open_scenario(scenario, overrides).scenario.charts.min_count
    asked = "charts.min_count" in overrides or least >= LEAST_COUNT
    return dict(overrides) if asked else {**overrides, "charts.min_count": LEAST_COUNT}


def prepared(
    layout: Layout,
    scenario: str,
    overrides: Mapping[str, Any],
    seed: int,
    method: str | None = None,
    rounds: int | None = None,
) -> Run:
    """A run that may be started; its number is not known yet.

    Args:
        method: what is run in place of the scenario's own phases.
        rounds: of that method.
    Raises:
        InputError: there is no such scenario, or it cannot be configured like this.
    """
    chosen = with_method(method, rounds, scenario, configured(layout, scenario, overrides))
    title = open_run(run_config(scenario, chosen, seed)).scenario.name
    name = f"{title}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    return Run(number=0, name=name, scenario=scenario, overrides=chosen, seed=seed)


def started(layout: Layout, operator: Operator, run: Run, results: PurePath, resume: bool = False) -> Run:
    """Start a run, and note it in the deployment's folder.

    Args:
        results: folder at the server in which each run has one of its own.
        resume: go on from the last checkpoint in its folder.
    """
    config = run_config(run.scenario, run.overrides, run.seed) | {"out": str(results / run.name)}
    number = operator.start(config | {"resume": resume})
    known = run.model_copy(update={"number": number})
    with layout.runs.open("a", encoding="utf-8") as file:
        file.write(known.model_dump_json() + "\n")
    return known


def recorded(layout: Layout, name: str | None = None) -> Run:
    """A run that was started from this folder: the last one of that name, or of all.

    Raises:
        InputError: there was none.
    """
    lines = layout.runs.read_text(encoding="utf-8").splitlines() if layout.runs.is_file() else []
    runs = [Run.model_validate_json(line) for line in lines]
    found = [run for run in runs if name in (None, run.name)]
    if not found:
        known = ", ".join(dict.fromkeys(run.name for run in runs)) or "none"
        raise InputError(f"no run{f' {name}' if name else ''} was started from {layout.root}; known: {known}")
    return found[-1]


def resumable(layout: Layout) -> Run:
    """The last run, if the deployment still has the sites that it had.

    Raises:
        InputError: there was none, or it was of another number of sites, or the file of its scenario is gone.
    """
    run = recorded(layout)
    open_scenario(run.scenario, run.overrides)
    sites = (run.overrides.get("data.sites") or {}).get("clients", run.overrides.get("partition.clients"))
    if sites not in (None, len(layout.sites)):
        raise InputError(f"run {run.name} was of {sites} sites, {layout.root} has {len(layout.sites)}; begin another")
    return run


def followed(
    operator: Operator, run: Run, show: Callable[[str], None], check: Callable[[], None] = lambda: None
) -> None:
    """Show what the ServerApp says until a run ends.

    Args:
        show: is given each line that matters.
        check: what it raises ends the waiting.
    Raises:
        RunFailedError: the run failed, or ended without results.
    """
    lines: list[str] = []

    def told(piece: str) -> None:
        for line in piece.splitlines():
            if not NOISE.match(line):
                lines.append(line)
                show(line)

    judge(operator.follow(run.number, told, check), lines)


def judge(state: State, log: list[str]) -> None:
    """Refuse a run that has not done what it should.

    Raises:
        RunFailedError: it failed, was stopped, or has written no results.
        InputError: what it was given is wrong.
    """
    if state.status != COMPLETED and (refused := [line for line in log if line.startswith(REFUSED)]):
        raise InputError(refused[-1].removeprefix(REFUSED))
    if state.status != COMPLETED:
        cause = state.details or next((line for line in reversed(log) if line.strip()), "nothing was said")
        raise RunFailedError(f"run {state.number} {state.status}: {' '.join(cause.split())}")
    if not any(SAVED in line for line in log):
        raise RunFailedError(f"run {state.number} ended without results; its last word: {log[-1] if log else 'none'}")


def described(run: Run) -> str:
    """What a run was asked, for its folder."""
    return json.dumps(run.dump(), indent=2) + "\n"
