"""Monoliths and other rivals, one a file. To add one: a file here that makes a `Method`, such as a `Rival`."""

from types import ModuleType

from federation.rules import InputError, import_all, nearest
from scenarios.baselines.contract import Contender, Method, Trial
from scenarios.baselines.flower import FLOWER, Flower

import_all(__name__, __path__)

ORDER = (
    *("world", "without_experts", "world_1_2", "world_1_4", "world_1_8"),
    *("central", "central_converged", "central_total", "central_committee", "central_features", "central_told"),
    *("fedavg", "fedavg_total", "fedprox", "fedadam", "scaffold", "heterofl", "fedrolex", "fjord"),
    *("ifca", "fedem", "fedrep", "ditto", "feddf", "fedpft", "afl", "local", "uniform", "head", "oracle", "context"),
)
"""The order of tables; methods that a new file brings come last."""


def found() -> dict[str, Method]:
    """All methods that the files of this folder make, by name, in the order of tables."""
    modules = [module for module in globals().values() if isinstance(module, ModuleType)]
    methods = {m.name: m for module in modules for m in vars(module).values() if isinstance(m, Method)}
    places = {name: place for place, name in enumerate(ORDER)}
    return {name: methods[name] for name in sorted(methods, key=lambda name: (places.get(name, len(ORDER)), name))}


METHODS: dict[str, Method] = found()


def method(name: str) -> Method:
    """The method of a name; `flwr:NAME` is the strategy NAME of Flower.

    Raises:
        InputError: there is none.
    """
    if name.startswith(FLOWER):
        return Flower(name)
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; {nearest(name, list(METHODS))}")
    return METHODS[name]


__all__ = ["METHODS", "Contender", "Method", "Trial", "method"]
