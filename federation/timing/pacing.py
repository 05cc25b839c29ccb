"""How long the server waits in a round of training, and for how many. One rule a class."""

from abc import abstractmethod
from math import ceil
from typing import ClassVar

from pydantic import Field

from federation.rules import Rule


class PacingRule(Rule):
    """Contract: of how many clients are asked, how many answers end a round, and what a late answer counts.

    `buffers`: whether those that have not answered when a round ends stay at work, and count in a later one.
    """

    buffers: ClassVar[bool] = False
    deadline: float | None = Field(default=None, gt=0, description="seconds after which a round of training ends")

    @abstractmethod
    def at_work(self, wanted: int) -> int:
        """Clients that are to be at work where a round is to have `wanted`."""

    @abstractmethod
    def enough(self, wanted: int) -> int:
        """Answers with which the round ends."""

    def weight(self, staleness: int) -> float:
        """What the change counts that began from the model of `staleness` rounds ago."""
        return 1.0


class Synchronous(PacingRule):
    """A round ends with the answers that were wanted; to have them sooner, more clients are asked than are wanted.

    Source: over-selection and deadlines, Bonawitz et al. (2019).
    """

    over_selection: float = Field(default=1.0, ge=1, description="clients asked for each that is wanted")

    def at_work(self, wanted: int) -> int:
        return ceil(self.over_selection * wanted - 1e-9)

    def enough(self, wanted: int) -> int:
        return wanted


class Buffered(PacingRule):
    """Nobody waits for anybody: the model moves on with every `size` answers, and those who answered begin anew.

    The change of a client that began tau rounds ago counts (1 + tau)^-staleness.
    Source: FedBuff, Nguyen et al. (2022), which takes staleness = 1/2.
    """

    buffers: ClassVar[bool] = True
    size: int = Field(default=10, ge=1, description="answers with which the model moves on")
    staleness: float = Field(default=0.5, ge=0)

    def at_work(self, wanted: int) -> int:
        return wanted

    def enough(self, wanted: int) -> int:
        return min(self.size, wanted)

    def weight(self, staleness: int) -> float:
        return float((1 + staleness) ** -self.staleness)
