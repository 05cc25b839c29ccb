"""Grids: how messages reach clients. `SerialGrid` is the reference that faster engines must equal."""

from federation.engine.cohort import Asked, CohortApp, CohortGrid, Here, Served, Workers
from federation.engine.local import LocalGrid, Memories, Traffic
from federation.engine.serial import SerialGrid
from federation.engine.waiting import Waiting

__all__ = [
    "Asked",
    "CohortApp",
    "CohortGrid",
    "Here",
    "LocalGrid",
    "Memories",
    "SerialGrid",
    "Served",
    "Traffic",
    "Waiting",
    "Workers",
]
