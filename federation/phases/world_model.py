"""The world model as a method: the list of its phases.

A phase whose settings ask for no rounds, such as `coupling` by default, takes none.
"""

from federation.phases.census import Census
from federation.phases.charting import Charting
from federation.phases.choice import Choice
from federation.phases.composition import Composition
from federation.phases.coordinates import Coordinates
from federation.phases.coupling import Coupling
from federation.phases.encoder import Encoder
from federation.phases.evidence import Evidence
from federation.phases.experts import Experts
from federation.phases.head import Head
from federation.phases.least_squares import LeastSquares
from federation.phases.novelty import Novelty
from federation.phases.phase import Phase
from federation.phases.prior import Prior
from federation.phases.reach import Reach
from federation.phases.readout import Readout
from federation.phases.responsibility import Responsibility
from federation.phases.router import Router
from federation.phases.selection import Selection
from federation.phases.spawn import Spawn
from federation.phases.spawn_training import SpawnTraining

WORLD_MODEL: tuple[Phase, ...] = (
    Census(),
    Prior(),
    Encoder(),
    Charting(),
    Choice(),
    Responsibility(),
    Coordinates(),
    Experts(),
    Coupling(),
    Readout(),
    Selection(),
    Reach(),
    Evidence(),
    LeastSquares(),
    Head(),
    Router(),
    Composition(),
    Novelty(),
    Spawn(),
    SpawnTraining(),
)
"""From data to world model."""
