"""How a scenario is found, overridden and opened: by name or by path, with dotted fields replaced."""

import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast, get_args

from pydantic import BaseModel, ValidationError

from federation.data.distribution import federate
from federation.data.partition import OnDemand
from federation.data.samples import Dataset, FederatedData, Pool
from federation.learning.readout import Readout
from federation.phases.charting import Charting
from federation.rules import InputError, Rule, nearest
from federation.scenario import Scenario
from federation.settings import DataSettings
from federation.tasks import Task

LIBRARY = "scenarios.library"
"""The package whose modules can be opened by name."""

PATHS = ("data.dir", "data.path", "data.test", "availability.path")
"""Fields that name files."""


RunConfig = dict[str, str | int]
"""How a scenario is named to every process: Flower's run configuration."""


class DataFunction(Protocol):
    """What a scenario's module defines beside its SCENARIO, under the name `load`."""

    def __call__(self, settings: DataSettings, seed: int) -> Dataset | Pool: ...


@dataclass(frozen=True)
class Opened:
    """A scenario with its data function."""

    scenario: Scenario
    load: DataFunction

    def federation(self) -> FederatedData:
        """Load the data and distribute them; loaded once a process, whatever else scenarios of the same data set.

        Raises:
            InputError: the data are wrong, or the scenario's parts cannot read them.
        """
        found = _federation(self._source)
        _fits(self, found.task)
        return found

    def charted(self) -> None:
        """Refuse clients who are all too small to be charted.

        Raises:
            InputError: none has samples enough of one kind.
        """
        most, least = self.federation().most_of_a_kind, self.scenario.charts.min_count
        if most is not None and most < least and any(isinstance(phase, Charting) for phase in self.scenario.phases):
            raise InputError(
                f"no client has {least} training samples of one kind, the largest number is {most}; take larger "
                f"clients, or lower charts.min_count={least}"
            )

    @cached_property
    def _source(self) -> "_Source":
        """Made once: each client of each round asks for the data."""
        scenario = self.scenario
        parts = [scenario.data.dump(), scenario.partition.dump(), scenario.held_out, scenario.seed]
        return _Source(self.load, json.dumps(parts, sort_keys=True), scenario)

    @cached_property
    def _key(self) -> int:
        return hash(json.dumps(self.scenario.dump(), sort_keys=True))

    def __hash__(self) -> int:
        return self._key


@dataclass(frozen=True)
class _Source:
    """What determines the data of a scenario; `key` holds those of its fields that do."""

    load: DataFunction
    key: str
    scenario: Scenario = field(compare=False)


@lru_cache(maxsize=2)
def _federation(source: _Source) -> FederatedData:
    scenario, sites = source.scenario, source.scenario.data.sites
    if sites is None:
        dataset, rule = source.load(scenario.data, scenario.seed), scenario.partition
    else:
        dataset = sites.pool(scenario.data.folder, scenario.held_out, scenario.seed)
        rule = OnDemand(clients=sites.clients)
    dataset = dataset.during(scenario.data.periods)
    federation = federate(dataset, rule, scenario.held_out, scenario.seed)
    if (loss := scenario.data.loss) is None:
        return federation
    return replace(federation, task=federation.task.model_copy(update={"loss": loss}))


@lru_cache(maxsize=64)
def _fits(opened: Opened, task: Task) -> None:
    """Refuse what a family, a head or a readout cannot read, and parts that cannot answer, before anything runs."""
    scenario = opened.scenario
    task.check_loss()
    scenario.model.shapes(task)
    scenario.parts(task)
    if scenario.local.mirrored and (len(task.input_shape) != 3 or task.input_shape[-1] == 1):
        raise InputError(
            f"local.mirrored: inputs are {list(task.input_shape)}, no [channels, height, width]; leave it out"
        )
    for name, local in (("head", scenario.head.local), ("router", scenario.router.local)):
        if local.mirrored:
            raise InputError(f"{name}.local.mirrored: a {name} is trained on codes, not on images; leave it out")
    if scenario.head.tells(task):
        scenario.head.network.shapes(task, latent=1)
    if features := scenario.experts.features:
        Readout.like(scenario.model, task, features, None)[0].shapes(task)


def open_scenario(reference: str, overrides: Mapping[str, Any] | None = None) -> Opened:
    """A scenario by name (a module of the library) or by the path of a Python file, with fields overridden.

    A module may define `suited` beside `SCENARIO` and `load`: it makes the scenario that suits the data which its data
    settings name. Fields are overridden in that one.

    Args:
        overrides: dotted field -> value, such as {"local.learning_rate": 0.05}.
    Raises:
        InputError: there is no such scenario, or a field is unknown, ill-typed or out of range.
    """
    module = _module(reference)
    scenario, load = getattr(module, "SCENARIO", None), getattr(module, "load", None)
    if not isinstance(scenario, Scenario) or not callable(load):
        raise InputError(
            f"{reference} is no scenario; it must define SCENARIO (a Scenario) and load (its data function)"
        )
    given = overrides or {}
    if suited := getattr(module, "suited", None):
        about_data = {path: value for path, value in given.items() if path.startswith("data.")}
        scenario = suited(scenario, override(scenario, about_data).data)
    return Opened(override(scenario, given), cast(DataFunction, load))


def override(scenario: Scenario, overrides: Mapping[str, Any]) -> Scenario:
    """The scenario with dotted fields replaced, validated as a whole."""
    fields = scenario.dump()
    for path, value in sorted(overrides.items(), key=lambda item: not item[0].endswith(".kind")):
        _replace(fields, path, value, type(scenario))
    try:
        return Scenario.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        given = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        raise InputError(f"{where or 'scenario'}: {first['msg']}{given}") from None


def _replace(fields: dict[str, Any], path: str, value: Any, model: type[BaseModel]) -> None:
    family: type[BaseModel] = model
    *parents, last = path.split(".")
    for depth, part in enumerate(parents, 1):
        inner = fields.get(part)
        if inner is None and part in fields and (depth, last) == (len(parents), "kind"):
            inner = fields[part] = {"kind": None}  # a rule that is left out by default
        if not isinstance(inner, dict):
            raise InputError(f"unknown key {path!r}: {part!r} is no group of settings; {nearest(part, list(fields))}")
        fields, family = inner, _model_of(model, part)
        model = family.kinds().get(str(inner.get("kind")), family) if issubclass(family, Rule) else family
    if last not in fields:
        raise InputError(f"unknown key {path!r}; {nearest(last, list(fields))}")
    if last == "kind" and fields["kind"] != value:
        chosen = family.kinds().get(str(value)) if issubclass(family, Rule) else None
        fields.clear()
        fields.update(_defaults(chosen) if chosen else {})
    fields[last] = value


def _model_of(model: type[BaseModel], field: str) -> type[BaseModel]:
    """The kind of values that a field holds, None aside."""
    kind = model.model_fields[field].annotation
    options = (kind, *get_args(kind))
    return next(each for each in options if isinstance(each, type) and issubclass(each, BaseModel))


def _defaults(rule: type[Rule]) -> dict[str, Any]:
    """The fields of a rule before anything is set; None where it must be."""
    required = {name: None for name, field in rule.model_fields.items() if field.is_required()}
    return rule.model_construct(**required).dump() | required


def _module(reference: str) -> ModuleType:
    if path := scenario_file(reference):
        if not path.is_file():
            raise InputError(f"no scenario file {reference}; give the path of an existing Python file")
        return _executed(path, path.stat().st_mtime_ns)
    module = f"{LIBRARY}.{reference}"
    if not reference.isidentifier() or importlib.util.find_spec(module) is None:
        raise InputError(f"unknown scenario {reference!r}; {nearest(reference, scenario_names())}")
    return importlib.import_module(module)


@lru_cache(maxsize=16)
def _executed(path: Path, changed: int) -> ModuleType:
    """The module of a file, executed once as long as it does not change: so its classes are there once."""
    spec = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def scenario_names() -> list[str]:
    """The modules of the library that define a SCENARIO."""
    package = importlib.import_module(LIBRARY)
    folder = Path(str(package.__file__)).parent
    return sorted(file.stem for file in folder.glob("*.py") if "\nSCENARIO = " in file.read_text(encoding="utf-8"))


def run_config(reference: str, overrides: Mapping[str, Any], seed: int) -> RunConfig:
    """How a scenario is named in Flower's run configuration, so that every process opens the same one.

    Paths become absolute, since processes may have other working folders.
    """
    named = {key: overrides[key] for key in PATHS if isinstance(overrides.get(key), str) and overrides[key]}
    paths = {key: str(Path(path).expanduser().resolve()) for key, path in named.items()}
    return {
        "scenario": absolute(reference),
        "overrides": json.dumps({**overrides, **paths}, sort_keys=True),
        "seed": seed,
    }


def changed(config: Mapping[str, Any], settings: Mapping[str, Any]) -> RunConfig:
    """The run configuration with settings added; they replace all that was set within them before."""
    given: dict[str, Any] = json.loads(str(config.get("overrides", "{}")) or "{}")
    inside = tuple(f"{path}." for path in settings)
    kept = {path: value for path, value in given.items() if not path.startswith(inside)}
    return {**config, "overrides": json.dumps(kept | dict(settings), sort_keys=True)}


def scenario_file(reference: str) -> Path | None:
    """The absolute path of the file that a reference names; None where it is the name of a scenario in the library."""
    return Path(reference).resolve() if reference.endswith(".py") or "/" in reference else None


def absolute(reference: str) -> str:
    """The reference as it is understood from any working folder."""
    return str(scenario_file(reference) or reference)


def open_run(config: Mapping[str, Any]) -> Opened:
    """The scenario that a Flower run configuration names; opened once a process."""
    return _open_run(str(config["scenario"]), str(config.get("overrides", "{}")), int(config.get("seed", 0)))


@lru_cache(maxsize=16)
def _open_run(reference: str, overrides: str, seed: int) -> Opened:
    return open_scenario(reference, {**json.loads(overrides or "{}"), "seed": seed})
