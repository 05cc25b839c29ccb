"""Which grid runs a simulated federation: the place where engines meet the client's code."""

from collections.abc import Callable
from typing import Literal

from clients.app import app, serve_cohort
from federation.engine import CohortGrid, LocalGrid, SerialGrid
from federation.engine.cohort import COHORT
from federation.engine.local import Visit, in_order
from federation.scenario import Opened

Engine = Literal["cohort", "serial"]


def open_grid(
    engine: Engine,
    clients: int,
    run_config: dict[str, str | int],
    *,
    cohort: int = COHORT,
    visit: Visit = in_order,
    on_reply: Callable[[int], None] = lambda answered: None,
) -> LocalGrid:
    """A fresh grid: `cohort` trains many clients at once, `serial` one after another, where a breakpoint works."""
    if engine == "serial":
        return SerialGrid(app, clients, run_config, visit=visit, on_reply=on_reply)
    return CohortGrid(app, serve_cohort, clients, run_config, cohort=cohort, visit=visit, on_reply=on_reply)


def grids(
    engine: Engine, opened: Opened, run_config: dict[str, str | int], visit: Visit = in_order
) -> Callable[[], LocalGrid]:
    """A maker of fresh grids for one opened scenario."""
    cohort = opened.scenario.model.cohort
    return lambda: open_grid(engine, len(opened.federation().clients), run_config, cohort=cohort, visit=visit)
