"""A partition of unity: weights that add up to one, are continuous, and few of which are open."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.manifold import NEVER
from federation.routing import Windows
from federation.routing.windows import entmax

LOGITS = st.lists(st.floats(-50, 50), min_size=2, max_size=9)


def weights(logits):
    return Windows(top=len(logits)).spread(torch.tensor([logits], dtype=torch.float64))[0]


@settings(deadline=None)
@given(LOGITS)
def test_weights_are_positive_and_add_up_to_one(logits):
    found = weights(logits)
    assert float(found.min()) >= 0
    torch.testing.assert_close(found.sum(), torch.tensor(1.0, dtype=torch.float64))


@settings(deadline=None)
@given(LOGITS, st.integers(0, 8))
def test_weights_move_no_faster_than_the_logits(logits, place):
    """They are continuous, with a slope of at most one half."""
    moved = list(logits)
    moved[place % len(logits)] += 1e-4
    assert float((weights(moved) - weights(logits)).abs().max()) <= 1e-4


def test_two_equal_regions_share_and_a_far_one_is_silent():
    found = weights([1.0, 1.0, -9.0])
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5, 0.0], dtype=found.dtype))
    assert float(found[2]) == 0


def test_weights_of_two_are_those_of_the_formula():
    """(z_i / 2 - tau)^2 add up to one: for z = (1, 0) tau = 1 / 4 - sqrt(7) / 4."""
    tau = (1 - 7**0.5) / 4
    torch.testing.assert_close(
        entmax(torch.tensor([1.0, 0.0], dtype=torch.float64)),
        torch.tensor([(0.5 - tau) ** 2, tau**2], dtype=torch.float64),
    )


def test_an_expert_that_is_not_there_has_no_say():
    assert weights([0.0, NEVER]).tolist() == [1.0, 0.0]
