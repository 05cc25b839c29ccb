"""The contract of the client's side of a phase."""

from collections.abc import Sequence
from typing import Protocol

from clients.member import Member
from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Answers
from federation.wire.records import Order


class ClientSide(Protocol):
    """A module, or an object, with these functions."""

    def contribute(self, orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Answers:
        """What each member sends, in order. All orders are of one phase and round; all models are of one size."""


class Remembering(ClientSide, Protocol):
    """The client's side of a phase of which clients remember what they are told."""

    def remember(self, order: Order, member: Member, scenario: Scenario, task: Task) -> object:
        """Keep what an order tells in the member's memory."""
