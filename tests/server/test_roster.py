"""Who is asked what, and who has been told what."""

from dataclasses import replace

import pytest

from federation.models import Mlp
from federation.models.family import FULL
from federation.phases import named
from federation.tasks import Classification
from scenarios.library.digits import SCENARIO
from server.phases.contract import Now, Step
from server.roster import Roster
from server.state import ServerState, initial

TASK = Classification(input_shape=(4,), outputs=3)
SMALL = SCENARIO.model_copy(update={"model": Mlp(width=2, blocks=0), "quorum": 0.5, "fraction": 0.5})
NEW = initial(SMALL, TASK)
CHARTED = replace(NEW, region_of_client=(0, 1, 0, 1), reached={0: (0,), 1: (1,), 2: (0, 1)})


def now(phase: str, state: ServerState) -> Now:
    """The first round of a phase."""
    return Now(Step(named(phase)(), 0, 1), state, SMALL, TASK, clients=4)


@pytest.fixture
def roster() -> Roster:
    """Four clients, of which two have answered, from nodes 70 and 71."""
    found = Roster(SMALL, clients=4)
    found.node_of |= {0: 70, 1: 71}
    return found


def test_nodes_that_nobody_knows_are_asked_before_there_are_regions_and_not_later(roster):
    assert roster.here(now("prior", NEW), online=[70, 72, 71], busy=[71]) == ([0], [72])
    assert roster.here(now("experts", CHARTED), online=[70, 72, 71], busy=[]) == ([0, 1], [])


def test_only_clients_whose_samples_were_placed_can_serve_what_builds_on_it(roster):
    roster.node_of |= {2: 72, 3: 73}
    nodes = [70, 71, 72, 73]
    assert roster.here(now("evidence", CHARTED), nodes, [])[0] == [0, 1, 2]
    assert roster.here(now("head", CHARTED), nodes, [])[0] == [0, 1, 2]
    assert roster.here(now("experts", CHARTED), nodes, [])[0] == [0, 1, 2, 3]


def test_a_quorum_is_a_share_of_all_who_are_asked_be_they_there_or_not(roster):
    assert roster.quorum(now("census", NEW)) == 2  # half of the federation
    assert roster.quorum(now("prior", NEW)) == 1  # half of the half that a round of training asks
    assert roster.quorum(now("reach", CHARTED)) == 1  # half of the two that have been charted


def test_who_has_been_away_is_told_again_what_a_phase_reads_of_what_the_others_remember(roster):
    head, router = now("head", CHARTED), now("router", CHARTED)
    roster.answered(now("reach", CHARTED), [0, 1])
    roster.answered(now("evidence", CHARTED), [0])
    assert not roster.kind(head, 1).again
    assert not roster.kind(router, 0).again
    again = roster.kind(router, 1)
    assert again.again == ("evidence",)
    assert again.reached == (1,)


def test_only_its_own_node_can_say_that_a_client_has_forgotten(roster):
    head = now("head", CHARTED)
    roster.answered(now("evidence", CHARTED), [0])
    roster.answered(now("reach", CHARTED), [0])
    roster.forgot(0, sender=71)
    assert not roster.kind(head, 0).again
    roster.forgot(0, sender=70)
    assert roster.kind(head, 0).again


def test_where_samples_lie_in_several_regions_a_client_is_asked_for_each_and_told_again_which_is_which(roster):
    several = replace(CHARTED, regions_of_client={0: (0, 1), 1: (1,)}, sizes=(FULL, FULL))
    roster.answered(now("responsibility", several), [0])
    assert [roster.kind(now("experts", several), client).regions for client in (0, 1)] == [(0, 1), (1,)]
    assert [roster.kind(now("experts", several), client).again for client in (0, 1)] == [(), ("responsibility",)]
    assert roster.kind(now("reach", several), 0).regions == ()


def test_another_roster_goes_on_from_what_one_knows(roster):
    roster.answered(now("coupling", CHARTED), [1, 0])
    other = Roster(SMALL, clients=4)
    other.recall(roster.node_of, roster.aware)
    assert other.node_of == roster.node_of
    assert other.aware == roster.aware
    assert other.aware["coupling"] == (0, 1)


def test_a_node_is_named_by_its_client_where_that_is_known(roster):
    assert [roster.who(70), roster.who(99)] == ["client 0", "node 99"]
    assert roster.missing([1]) == [0]


def test_a_client_is_left_out_after_three_refused_replies_in_a_row(roster):
    assert [roster.strike(70) for _ in range(2)] == [False, False]
    roster.pardon([70])
    assert [roster.strike(70) for _ in range(3)] == [False, False, True]
    assert roster.here(now("prior", NEW), [70, 71, 72], []) == ([1], [72])
