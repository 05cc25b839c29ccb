"""When experts and regions grow: the rules, in numbers."""

import pytest
from pydantic import ValidationError

from federation.learning.growth import Growth
from federation.models import Size
from federation.models.family import FULL

QUARTER, HALF, SHALLOW = Size(width=0.25, depth=0.5), Size(width=0.5, depth=0.5), Size(depth=0.5)
LADDER = Growth(sizes=(QUARTER, HALF, FULL), residual=0.1, loss=0.5)


def test_nothing_grows_where_nothing_is_said():
    assert not Growth().used
    assert Growth().first == FULL
    assert Growth().beyond(QUARTER) is None


@pytest.mark.parametrize(
    ("size", "after"),
    [
        (QUARTER, HALF),
        (HALF, FULL),
        (FULL, None),
        (Size(width=0.125, depth=1.0), Size(width=0.25, depth=1.0)),
        (SHALLOW, FULL),
    ],
)
def test_an_expert_gets_the_next_size_and_never_loses_what_it_has(size, after):
    assert LADDER.beyond(size) == after
    assert LADDER.first == QUARTER


@pytest.mark.parametrize(
    ("residual", "loss", "due"), [(0.1, 0.5, True), (0.11, 0.5, False), (0.1, 0.49, False), (0.0, 9.0, True)]
)
def test_it_is_time_when_an_expert_hardly_moves_and_still_loses_too_much(residual, loss, due):
    assert LADDER.due(residual, loss) is due


def test_clients_pull_apart_where_their_mean_is_short_and_their_own_moves_are_not():
    torn = Growth(split=0.4)
    assert torn.torn(mean=0.04, own=0.1)
    assert not torn.torn(mean=0.05, own=0.1)
    assert not torn.torn(mean=0.0, own=0.0)
    assert not Growth(merge=True).torn(mean=0.0, own=1.0)


def test_the_budget_is_spent_to_the_last_parameter_and_no_further():
    assert Growth(budget=10).affords(10)
    assert not Growth(budget=10).affords(11)
    assert Growth().affords(10**12)


def test_sizes_that_do_not_grow_are_refused():
    with pytest.raises(ValidationError, match="must be larger than the one before"):
        Growth(sizes=(HALF, QUARTER))
    with pytest.raises(ValidationError, match="must be larger than the one before"):
        Growth(sizes=(HALF, HALF))
