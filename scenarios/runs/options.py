"""Options that commands share, and how a command takes several of them as one value."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from scenarios.runs.overrides import collected

Config = Annotated[Path | None, typer.Option("--config", help="TOML file of overrides")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder of npz files (or MANIFOLD_DATA)")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="seed of all draws; the first one, of several")]


def grouped(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with an option for each field of those of its parameters that are dataclasses."""
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: each.annotation for name, each in signature.parameters.items() if is_dataclass(each.annotation)
    }

    @wraps(command)
    def told(**options: Any) -> Any:
        values = {
            name: group(**{field.name: options.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**options, **values)

    parameters = [
        one
        for each in signature.parameters.values()
        for one in (_options(groups[each.name]) if each.name in groups else [each])
    ]
    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    told.__signature__ = signature.replace(parameters=keyword)  # type: ignore[attr-defined]
    told.__annotations__ = {one.name: one.annotation for one in keyword}
    return told


def _options(group: Any) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(group)
    ]


@dataclass(frozen=True)
class Settings:
    """Fields of a scenario that the user sets."""

    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="override a field; may be repeated")
    ] = None
    config: Config = None
    data_dir: DataDir = None

    def overrides(self) -> dict[str, Any]:
        """The value of each field, dotted."""
        return collected(self.set_, self.config, self.data_dir)


@dataclass(frozen=True)
class OneMethod:
    """A method that is run in place of the scenario's own phases."""

    method: Annotated[
        str | None, typer.Option("--method", help="run this method, such as fedavg, in place of the scenario's phases")
    ] = None
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="of --method; default those of gradient steps in the scenario")
    ] = None
