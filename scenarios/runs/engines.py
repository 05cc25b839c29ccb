"""Which grid runs a simulated federation: the place where engines meet the client's code."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from clients.app import app, serve_cohort
from federation.engine import CohortGrid, Here, LocalGrid, SerialGrid, Workers
from federation.engine.cohort import COHORT, CohortApp
from federation.engine.local import Visit, in_order
from federation.opening import Opened, RunConfig, open_run
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
        run_config: RunConfig,
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

    def fresh(self, run_config: RunConfig, merged: bool = True) -> LocalGrid:
        """A fresh grid for the scenario that a configuration names.

        Args:
            merged: whether one answer may stand for many clients; not where the server's rule needs each client's own.
        """
        opened = open_run(run_config)
        return self.grid(len(opened.federation().clients), run_config, cohort=self.cohort(opened), merged=merged)

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
