"""Which grid runs a simulated federation: the place where engines meet the client's code."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from clients.app import app, serve_cohort
from federation.engine import CohortGrid, Here, LocalGrid, SerialGrid, Workers
from federation.engine.cohort import COHORT, CohortApp
from federation.engine.local import Visit, in_order
from federation.opening import Opened, open_run
from federation.tensors import CACHE

Kind = Literal["cohort", "serial"]


@dataclass(frozen=True)
class Engine:
    """How clients are run.

    Attributes:
        kind: `cohort` trains many clients at once, `serial` one after another, where a breakpoint works.
        workers: Ray processes that serve cohorts, one a processor where it is not set; 0 serves them in this process.
        ray_address: a running Ray cluster to join.
        app: what serves a cohort.
    """

    kind: Kind = "cohort"
    workers: int | None = None
    ray_address: str | None = None
    app: CohortApp = serve_cohort

    def grid(
        self,
        clients: int,
        run_config: dict[str, str | int],
        *,
        cohort: int = COHORT,
        merged: bool = True,
        visit: Visit = in_order,
        on_reply: Callable[[int], None] = lambda answered: None,
    ) -> LocalGrid:
        """A fresh grid."""
        shared: dict[str, Any] = {
            "availability": open_run(run_config).scenario.availability,
            "visit": visit,
            "on_reply": on_reply,
        }
        if self.kind == "serial":
            return SerialGrid(app, clients, run_config, **shared)
        return CohortGrid(self._workers(), clients, run_config, cohort=cohort, merged=merged, **shared)

    def grids(self, opened: Opened, run_config: dict[str, str | int]) -> Callable[[], LocalGrid]:
        """A maker of fresh grids for one opened scenario."""
        cohort, clients = self.cohort(opened), len(opened.federation().clients)
        return lambda: self.grid(clients, run_config, cohort=cohort)

    def cohort(self, opened: Opened) -> int:
        """The most clients that are trained at once."""
        return 1 if self.kind == "serial" else fitting(opened, self._workers().working_set)

    def _workers(self) -> Workers:
        if self.workers == 0:
            return Here(self.app)
        from federation.engine.workers import ray_workers  # Ray takes seconds to import

        return ray_workers(self.app, self.workers, self.ray_address)


def fitting(opened: Opened, working_set: int = CACHE) -> int:
    """How many clients, trained together, still fit into a working set."""
    task, scenario = opened.federation().task, opened.scenario
    return scenario.model.at_once(task, scenario.local.batch_size, working_set)


RAY, HERE, SERIAL = Engine(), Engine(workers=0), Engine("serial")
