"""The contract of a stage."""

from collections.abc import Sequence
from typing import Protocol

from clients.member import Member
from federation.contribution import Answers
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task


class StageFunction(Protocol):
    """What each member sends, in order. All orders are of one stage and round; all models are of one size."""

    def __call__(
        self, orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task
    ) -> Answers: ...
