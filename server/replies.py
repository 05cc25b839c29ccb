"""Which of a round's replies can be used, and why the others can not."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Error, Message

from federation.engine import Waiting
from federation.tensors import Parameters
from federation.timing.pacing import PacingRule
from federation.wire.contribution import Contribution
from federation.wire.records import CONFIG, DATA, ForgottenError, read_contribution
from server.buffer import caught_up
from server.phases import side
from server.phases.contract import Now
from server.roster import STRIKES, OtherDataError, Roster
from server.state import Model, ServerState
from server.validation import CENSUS, check, check_counts, check_sender

LOG = logging.getLogger("manifold")


@dataclass(frozen=True)
class Replies:
    """How the replies of a round are judged.

    Attributes:
        versions: the states from which clients at work have begun, by round.
        pacing: of the round; it says what a late answer weighs.
    """

    now: Now
    grid: Waiting
    roster: Roster
    versions: Mapping[int, ServerState]
    pacing: PacingRule

    def sorted_out(self, replies: Iterable[Message]) -> tuple[list[Contribution], list[str]]:
        """The contributions that can be used, and the causes why the others can not."""
        accepted, refused, counted, step = [], [], set[int](), self.now.step
        for reply in replies:
            try:
                contribution, nodes = self._accepted(reply)
                if twice := counted & set(contribution.clients):
                    raise ValueError(f"client {min(twice)}: answers twice")
                accepted.append(contribution)
                counted.update(contribution.clients)
                self.roster.pardon(nodes)
                self.roster.node_of.update(zip(contribution.clients, nodes, strict=True))
                if step.phase.name == CENSUS and self.grid.simulated is None:
                    told = str(reply.content.config_records[CONFIG].get(DATA, ""))
                    self.roster.counted(contribution.clients[0], float(contribution.everywhere()["samples"]), told)
            except OtherDataError:
                raise
            except ForgottenError as error:
                refused.append(str(error))
            except (ValueError, KeyError) as error:
                refused.append(str(error))
                if self.roster.strike(self.grid.sender(reply)):
                    LOG.warning("%s: asked no more, after %d refused replies in a row: %s", step, STRIKES, error)
        return accepted, refused

    def _accepted(self, reply: Message) -> tuple[Contribution, tuple[int, ...]]:
        """The reply's contribution, and the node of each of its clients.

        Raises:
            ValueError: an error reply, a stale one, or sums that do not fit what was asked.
        """
        sender, roster, step = self.grid.sender(reply), self.roster, self.now.step
        if reply.has_error():
            raise ValueError(self._named(sender, reply.error))
        try:
            contribution, nodes, round_ = read_contribution(reply.content, step.phase.name, self.versions)
        except ForgottenError as error:
            roster.forgot(error.client, sender)
            raise
        if not all(0 <= number < roster.clients for number in contribution.clients):
            raise ValueError(f"client {contribution.clients[0]}: not of this federation of {roster.clients}")
        if self.grid.simulated is None:
            check_sender(contribution.clients, nodes, sender, roster.node_of, roster.online)
        check(contribution, self.now)
        if self.grid.simulated is None:
            check_counts(contribution, self.now, roster.samples.get(contribution.clients[0]))
        if round_ == step.round:
            return contribution, nodes
        models = side(step.phase).models
        began, now = (_starts(models(state)) for state in (self.versions[round_], self.now.state))
        return caught_up(contribution, began, now, self.pacing.weight(step.round - round_)), nodes

    def _named(self, sender: int, error: Error) -> str:
        """An error with who it is about; simulated clients say so themselves."""
        if self.grid.simulated is not None:
            return error.reason or f"error {error.code}"
        return f"{self.roster.who(sender)}: error {error.code}{f', {error.reason}' * bool(error.reason)}"


def _starts(models: Mapping[int, Model]) -> Callable[[int], Parameters]:
    """The model that clients of a region begin from."""
    return lambda region: models[region].parameters
