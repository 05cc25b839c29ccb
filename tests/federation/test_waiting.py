"""When replies come, and when a round ends: on a virtual clock, over a grid whose clients take known times."""

import math

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from federation.engine import LocalGrid, Waiting
from federation.timing.availability import AvailabilityRule

NEVER = math.inf


class Given(AvailabilityRule):
    """Client n answers after `takes[n]` seconds, and is online from `comes[n]` on."""

    takes: tuple[float, ...]
    comes: tuple[float, ...] = (0.0,) * 9

    def online(self, clients, time, seed):
        return np.array([self.comes[client] <= time for client in clients])

    def seconds(self, clients, sending, seed):
        return np.array([self.takes[client] for client in clients])


class Echo(LocalGrid):
    """Sends the first message back, for all that are served with it, and remembers whom it has served."""

    def __init__(self, rule):
        super().__init__(len(rule.takes), {"seed": 0}, availability=rule)
        self.served = []

    def serve(self, messages):
        for message in messages:
            self.served.append(message.metadata.dst_node_id - 1)
            yield Message(message.content, reply_to=message)


def grid(*takes, comes=(0.0,) * 9):
    return Echo(Given(takes=tuple(map(float, takes)), comes=comes))


def to(*clients):
    return [Message(RecordDict({"config": ConfigRecord()}), client + 1, "train") for client in clients]


def answered(replies):
    return [reply.metadata.src_node_id - 1 for reply in replies]


def test_a_round_lasts_as_long_as_its_slowest_client():
    echo = grid(3, 1, 2)
    assert answered(echo.send_and_receive(to(0, 1, 2))) == [1, 2, 0]
    assert echo.clock == 3


def test_whoever_is_later_than_the_timeout_is_not_served():
    echo = grid(3, 1, NEVER)
    assert answered(echo.send_and_receive(to(0, 1, 2), timeout=2)) == [1]
    assert (echo.clock, echo.served) == (2, [1])


def test_without_a_timeout_a_round_ends_with_the_last_that_will_ever_come():
    echo = grid(3, 1, NEVER)
    assert answered(echo.send_and_receive(to(0, 1, 2))) == [1, 0]
    assert echo.clock == 3


def test_what_is_late_can_be_pulled_once_it_is_there():
    echo = grid(3, 1)
    names = echo.push_messages(to(0, 1))
    assert answered(echo.receive(names, enough=1, keep=True)) == [1]
    assert answered(echo.pull_messages(names)) == []
    echo.clock = 3.0
    assert answered(echo.pull_messages(names)) == [0]


def test_time_passes_until_somebody_is_online():
    echo = grid(1, 1, comes=(7_000.0, 5_000.0))
    assert list(echo.get_node_ids()) == [2]
    assert 5_000 <= echo.clock < 7_000


def test_nobody_for_a_week_ends_the_run():
    with pytest.raises(RuntimeError, match="online for a week"):
        grid(1, comes=(NEVER,)).get_node_ids()


def test_a_round_ends_with_enough_answers_and_gives_up_on_the_rest():
    waiting = Waiting(echo := grid(3, 1, 2))
    waiting.enough = 2
    assert answered(waiting.send_and_receive(to(0, 1, 2))) == [1, 2]
    assert (waiting.clock, echo.served, waiting.at_work) == (2, [1, 2], {})
    assert answered(waiting.send_and_receive(to(1))) == [1]


def test_the_deadline_is_the_sooner_of_two():
    waiting = Waiting(grid(3, 1))
    waiting.deadline = 2.0
    assert answered(waiting.send_and_receive(to(0, 1), timeout=9)) == [1]
    assert answered(waiting.send_and_receive(to(0, 1), timeout=1)) == [1]
    assert waiting.clock == 3


def test_those_who_are_kept_at_work_answer_in_a_later_round():
    waiting = Waiting(grid(3, 1, 9))
    waiting.enough, waiting.keeps = 1, True
    assert answered(waiting.send_and_receive(to(0, 1, 2))) == [1]
    assert answered(waiting.send_and_receive(to(1))) == [1]
    waiting.enough = 2
    assert answered(waiting.send_and_receive(to(1))) == [0, 1]  # both at 3 seconds
    assert [message.metadata.dst_node_id for message in waiting.at_work.values()] == [3]
    waiting.abandon()
    assert waiting.at_work == {}


# --- networks --------------------------------------------------------------------------------------------------------


class Network(Grid):
    """Nodes 1 and 2 answer at once, but for the orders to node 2 that get lost."""

    def __init__(self, lost, there=(1, 2)):
        self.lost, self.there, self.sent, self.answers = lost, there, [], {}

    def push_messages(self, messages):
        for message in messages:
            name, node = f"order-{len(self.sent)}", message.metadata.dst_node_id
            self.sent.append(node)
            if node == 1 or self.sent.count(2) > self.lost:
                reply = Message(message.content, reply_to=message)
                reply.metadata.__dict__["_reply_to_message_id"] = name
                self.answers[name] = reply
            yield name

    def pull_messages(self, message_ids):
        return [self.answers.pop(name) for name in message_ids if name in self.answers]

    def get_node_ids(self):
        return self.there

    def set_run(self, run): ...

    run = create_message = send_and_receive = None


def over(network, patience=0.3, timeout=3.0):
    waiting = Waiting(network)
    waiting.patience = patience
    return [waiting.sender(reply) for reply in waiting.send_and_receive(to(0, 1), timeout=timeout)]


def test_an_order_that_a_network_has_lost_is_sent_again():
    network = Network(lost=1)
    assert over(network) == [1, 2]
    assert network.sent == [1, 2, 2]


def test_whoever_answers_in_time_is_asked_once():
    network = Network(lost=0)
    assert over(network) == [1, 2]
    assert network.sent == [1, 2]


def test_whoever_is_gone_is_not_asked_again():
    network = Network(lost=1, there=(1,))
    assert over(network, timeout=1.5) == [1]
    assert network.sent == [1, 2]


def test_whoever_answers_to_two_orders_is_heard_once():
    class Slow(Network):
        """Node 2 answers to the first order after it got the second."""

        def pull_messages(self, message_ids):
            return super().pull_messages(message_ids if self.sent.count(2) > 1 else ["order-0"])

    network = Slow(lost=0)
    assert over(network) == [1, 2]
    assert network.sent == [1, 2, 2]
