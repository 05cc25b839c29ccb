"""Monoliths and other rivals, one a file. To add one: a file here with a subclass of `Method`."""

from inspect import isabstract

from federation.rules import import_all
from scenarios.baselines.central import Central, CentralTotal
from scenarios.baselines.central_committee import CentralCommittee
from scenarios.baselines.context import WithContext
from scenarios.baselines.contract import Contender, Method, Trial
from scenarios.baselines.ditto import Ditto
from scenarios.baselines.fedadam import FedAdam
from scenarios.baselines.fedavg import FedAvg, FedAvgTotal
from scenarios.baselines.feddf import FedDf
from scenarios.baselines.fedem import FedEm
from scenarios.baselines.fedpft import FedPft
from scenarios.baselines.fedprox import FedProx
from scenarios.baselines.fedrep import FedRep
from scenarios.baselines.fedrolex import FedRolex
from scenarios.baselines.fjord import Fjord
from scenarios.baselines.head import Head
from scenarios.baselines.heterofl import HeteroFl
from scenarios.baselines.ifca import Ifca
from scenarios.baselines.local import Local
from scenarios.baselines.oracle import Oracle
from scenarios.baselines.scaffold import Scaffold
from scenarios.baselines.sized import EIGHTH, HALF, QUARTER
from scenarios.baselines.uniform import Ensemble
from scenarios.baselines.world import World

import_all(__name__, __path__)

_IN_ORDER: tuple[Method, ...] = (
    World(),
    HALF,
    QUARTER,
    EIGHTH,
    Central(),
    CentralTotal(),
    CentralCommittee(),
    FedAvg(),
    FedAvgTotal(),
    FedProx(),
    FedAdam(),
    Scaffold(),
    HeteroFl(),
    FedRolex(),
    Fjord(),
    Ifca(),
    FedEm(),
    FedRep(),
    Ditto(),
    FedDf(),
    FedPft(),
    Local(),
    Ensemble(),
    Head(),
    Oracle(),
    WithContext(),
)


def _found(methods: type[Method] = Method) -> list[Method]:
    """One of each kind of method of this folder that has a name and is not in the order yet."""
    below = [method for kind in methods.__subclasses__() for method in _found(kind)]
    here = methods.__module__.startswith(f"{__name__}.")
    if (
        not here
        or isabstract(methods)
        or not hasattr(methods, "name")
        or any(isinstance(m, methods) for m in _IN_ORDER)
    ):
        return below
    return [methods(), *below]


METHODS: dict[str, Method] = {method.name: method for method in (*_IN_ORDER, *_found())}
"""All methods of a comparison, in the order of its tables; those that a new file brings come last."""

__all__ = ["METHODS", "Contender", "Method", "Trial"]
