"""Grids: how messages reach clients. `SerialGrid` is the reference that faster engines must equal."""

from federation.engine.cohort import CohortApp, CohortGrid, Here, Workers
from federation.engine.local import LocalGrid, Traffic
from federation.engine.serial import SerialGrid

__all__ = ["CohortApp", "CohortGrid", "Here", "LocalGrid", "SerialGrid", "Traffic", "Workers"]
