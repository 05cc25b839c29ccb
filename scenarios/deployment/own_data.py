"""Each site's own samples: what all sites agree on, one data set split over the sites for a trial, and checks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from federation.data.own import Meaning
from federation.data.samples import FederatedData
from federation.data.sites import OWN, TEST, Sites, own_file, read_client, read_test, write_client, write_test
from federation.data.summary import Summary
from federation.opening import DataFunction, open_run, open_scenario, run_config
from federation.rules import Frozen, InputError
from federation.settings import DataSettings
from federation.tasks import Classification, Regression, Task
from scenarios.deployment import credentials
from scenarios.deployment.layout import Layout


class Agreed(Frozen):
    """What `task.json` says: where it is there, each site reads its own file and no other.

    Attributes:
        task: of every sample of every site; None where they bring raw rows.
        meaning: of the columns of raw rows.
        scenario: whose samples were split, where they were; others are refused.
        overrides: by which they were split, and `seed` with which.
    """

    task: Task | None = None
    meaning: Meaning | None = None
    scenario: str | None = None
    overrides: Mapping[str, Any] = Field(default_factory=dict)
    seed: int | None = None


def agreed(layout: Layout) -> Agreed | None:
    """What the sites of a deployment agree on; None where each place reads a whole data set and takes its part.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return Agreed.model_validate_json(layout.task.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        cause = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise InputError(f"{layout.task}: {cause}; write it by `manifold deploy task` or `split`") from None


def task_of(shape: str, classes: int | None, values: int | None) -> Task:
    """The task that the operator describes.

    Raises:
        InputError: the shape is none, or not exactly one of the two kinds of targets is named.
    """
    sides = [side.strip() for side in shape.split(",")]
    if not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise InputError(f"--shape {shape}: expected whole numbers with commas between them, such as 1,28,28 or 16")
    if (classes is None) == (values is None):
        raise InputError("expected either --classes, how many there are, or --values, how many a target has")
    kind = Regression if classes is None else Classification
    return kind(input_shape=tuple(map(int, sides)), outputs=classes or values or 0)


def terms_of(shape: str | None, classes: int | None, values: int | None, meaning: Meaning) -> Agreed:
    """What the operator says: the task of samples, or, without their shape, the meaning of raw rows.

    Raises:
        InputError: both, or a task that is none.
    """
    if shape is not None and not (meaning.label or meaning.task or meaning.ignore):
        return Agreed(task=task_of(shape, classes, values))
    if shape is not None or classes is not None or values is not None:
        raise InputError("--label, --task and --ignore are of raw rows, --shape, --classes and --values of arrays")
    return Agreed(meaning=meaning)


def agree(layout: Layout, terms: Agreed) -> None:
    """Write down what the sites agree on.

    Raises:
        InputError: they have agreed already.
    """
    try:
        text = terms.model_dump_json(indent=2) + "\n"
        credentials.write(layout.task, credentials.Content(text.encode(), credentials.PUBLIC))
    except FileExistsError:
        raise InputError(f"{layout.task} exists already; one deployment has one task") from None


def settings(layout: Layout, terms: Agreed, scenario: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides by which a scenario trains on the sites' own files.

    Raises:
        InputError: they ask for another distribution, or the files are of another scenario.
    """
    if moot := sorted(overrides.keys() - undistributed(overrides).keys()):
        raise InputError(f"{', '.join(moot)}: the sites of {layout.root} have their own files; leave it out")
    if terms.scenario is not None and _source(terms.scenario) != _source(scenario):
        raise InputError(f"the files of {layout.root} were split from {terms.scenario}; {scenario} needs others")
    chosen = {**overrides, "data.sites": _sites(layout, terms).dump()}
    opened = open_scenario(scenario, chosen)
    if terms.task is not None:
        opened.scenario.model.shapes(terms.task)  # refuses inputs that the family cannot read
    return chosen


def _sites(layout: Layout, terms: Agreed) -> Sites:
    return Sites(clients=len(layout.sites), task=terms.task, meaning=terms.meaning)


def _source(scenario: str) -> tuple[DataFunction, DataSettings]:
    """What determines which samples a scenario has."""
    opened = open_scenario(scenario)
    return opened.load, opened.scenario.data


def undistributed(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides without those that say which samples there are, and whose."""
    moot = {name for name in overrides if name.startswith(("data.", "partition."))} - {"data.loss"}
    return {name: value for name, value in overrides.items() if name not in moot}


def split(layout: Layout, scenario: str, overrides: Mapping[str, Any], seed: int) -> Agreed:
    """Write each client's part of a scenario's samples into its site's folder, and the union test into the server's.

    Raises:
        InputError: files are there already, or the scenario has another number of clients.
    """
    data = open_run(run_config(scenario, overrides, seed)).federation()
    if len(data.clients) != len(layout.sites):
        raise InputError(f"{scenario} has {len(data.clients)} clients, {layout.root} has {len(layout.sites)} sites")
    files = [layout.server_data / TEST, *(site.data / OWN for site in layout.sites)]
    if there := [path for path in (layout.task, *files) if path.exists()]:
        raise InputError(f"{there[0]} exists already; split into a new deployment")
    _write(layout, data)
    terms = Agreed(task=data.task, scenario=scenario, overrides=dict(overrides), seed=seed)
    agree(layout, terms)  # the last: files without it are not used
    return terms


def _write(layout: Layout, data: FederatedData) -> None:
    try:
        for site in layout.sites:
            write_client(site.data, data.clients[site.number])
        write_test(layout.server_data, data.union_test)
    except OSError as error:
        raise InputError(f"{error.filename or layout.root}: {error.strerror}; see `manifold deploy check`") from None


def file_problems(layout: Layout) -> Iterator[str]:
    """What is wrong with the files that are here, a line each."""
    try:
        terms = agreed(layout)
    except InputError as error:
        yield str(error)
        return
    if terms is None:
        return
    sites = _sites(layout, terms)
    told: list[Summary] = []
    for path, site in _files(layout):
        try:
            if sites.meaning is not None:
                told += [sites.summary(path.parent, 1)] if site is not None else []
            elif sites.task is not None and site is None:
                read_test(path, sites.task)
            elif sites.task is not None and site is not None:
                read_client(path, sites.task, 0.5, 0, site)
        except InputError as error:
            yield str(error)
    try:
        if len(told) == len(layout.sites):
            sites.prepared(Summary.total(told))
    except InputError as error:
        yield f"{layout.root}/data: {error}"


def complete(layout: Layout) -> Layout:
    """The layout, if the samples of all its sites are on this machine.

    Raises:
        InputError: some are not.
    """
    if missing := absent(layout):
        raise InputError(f"{layout.root}/data: {', '.join(missing)} without {OWN}; without containers all must be here")
    return layout


def absent(layout: Layout) -> list[str]:
    """The sites that have no file here, where all should have one somewhere."""
    here = {site for _, site in _files(layout)}
    return [] if agreed(layout) is None else [site.name for site in layout.sites if site.number not in here]


def _files(layout: Layout) -> list[tuple[Path, int | None]]:
    """The files that are here, with the number of the site; None for the server's."""
    places = [(own_file(layout.server_data, TEST), None), *((own_file(s.data, OWN), s.number) for s in layout.sites)]
    return [(path, site) for path, site in places if path is not None]
