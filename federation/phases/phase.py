"""The contract of a phase: rounds of one kind, each of which asks clients for one kind of sum."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from federation.rules import InputError, Rule, nearest

RESPONSIBILITY = "responsibility"
"""The phase that tells a client which of its samples lie in which region."""


class Kept(str):
    """The name of a tensor that a phase leaves in each client's memory: `phase/name`. Who reads it imports it."""

    __slots__ = ()

    @property
    def phase(self) -> str:
        """The phase that leaves it there."""
        return self.partition("/")[0]


class Phase(Rule):
    """Rounds of one kind, as a value in a scenario's list of phases.

    This value says what a phase is to all who meet it. What a client answers stands in `clients/phases/<name>.py`, and
    what the server asks and makes of the sum in `server/phases/<name>.py`. A phase that lives elsewhere, such as in the
    file of a scenario, names objects with the same functions as `client` and `server`.

    Attributes:
        asks_all: each round asks all clients; others ask a seeded sample (`Scenario.fraction`).
        by_region: a client answers for each region in which its samples lie, with those samples; others answer once.
        needs_region: a client must have been charted to be asked; others also ask nodes that have never answered.
        elastic: each client trains the size of model that fits its device.
        trains: clients take gradient steps, or what stands for them: these rounds are the budget of every rival.
        proposes: what a client remembers of its own answer holds only once the server has counted that answer.
        foundation: its result is what federations share that are trained apart and joined later.
        remembers: clients keep what they are told, under the phase's name.
        reads: what it needs of what earlier phases have left in a client's memory.
        continues: another phase whose learning-rate schedule goes on here; the two are one training.
        needs: what earlier phases must have made.
        makes: what later phases may need.
    """

    asks_all: ClassVar[bool] = False
    by_region: ClassVar[bool] = False
    needs_region: ClassVar[bool] = True
    elastic: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    proposes: ClassVar[bool] = False
    foundation: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    reads: ClassVar[tuple[Kept, ...]] = ()
    continues: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    makes: ClassVar[tuple[str, ...]] = ()
    client: ClassVar[Any] = None
    server: ClassVar[Any] = None

    @classmethod
    def kinds(cls) -> dict[str, type["Phase"]]:
        return {kind: phase for kind, phase in super().kinds().items() if phase not in (Phase, GlobalTraining)}

    @classmethod
    def recalls(cls) -> tuple[str, ...]:
        """The phases whose memory a client needs here; one that has lost it is told again with its order."""
        return tuple(dict.fromkeys(kept.phase for kept in cls.reads))

    @classmethod
    def may_recall(cls) -> tuple[str, ...]:
        """These, and the phase that has told a client which of its samples lie in which region, if it took place."""
        return (*cls.recalls(), *[RESPONSIBILITY] * cls.by_region)

    @property
    def name(self) -> str:
        """How orders, logs and metrics call it: its class name in snake_case."""
        return self.kind()

    @property
    def training(self) -> str:
        """The phase whose learning-rate schedule this one is part of: its own, or the one that it continues."""
        return self.continues or self.name


class GlobalTraining(Phase):
    """Contract: rounds of local training of models that belong to no region. Most methods of the literature are one."""

    needs_region: ClassVar[bool] = False
    trains: ClassVar[bool] = True

    rounds: int = Field(default=10, ge=1)


def named(name: str) -> type[Phase]:
    """The phase of a name.

    Raises:
        ValueError: there is none.
    """
    known = Phase.kinds()
    if name not in known:
        raise ValueError(f"unknown phase {name!r}; {nearest(name, list(known))}")
    return known[name]


def check_order(phases: Sequence[Phase]) -> None:
    """Refuse a list in which a phase comes twice, or before what it needs is made.

    Raises:
        InputError: the first phase that is out of place, and what it lacks.
    """
    made: set[str] = set()
    seen: set[str] = set()
    for phase in phases:
        if phase.name in seen:
            raise InputError(f"phases: {phase.name} is there twice; a phase may come once")
        for need in (*phase.needs, *phase.recalls()):
            if need not in made | seen:
                makers = sorted(kind for kind, each in Phase.kinds().items() if need in (*each.makes, kind))
                raise InputError(f"phases: {phase.name} needs {need}; put {' or '.join(makers)} before it")
        seen.add(phase.name)
        made.update(phase.makes)
