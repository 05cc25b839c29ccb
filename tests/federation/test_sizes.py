"""Which size a client trains: its own for ever, and all sizes about as often."""

from collections import Counter
from itertools import islice

import pytest

from federation.models import FullSize, Size, SizeRule, Tiers
from federation.models.family import FULL
from federation.models.sizes import turns

TIERS = Tiers(widths=(1.0, 0.5, 0.25, 0.125), depths=(1.0, 0.5))


def test_every_rule_is_tested_here():
    assert set(SizeRule.kinds().values()) == {FullSize, Tiers}


def test_by_default_everybody_trains_the_whole_model():
    assert {FullSize().of(client, seed) for client in range(20) for seed in range(3)} == {FULL}
    assert FullSize().sizes == (FULL,)


def test_tiers_are_all_pairs_of_widths_and_depths():
    assert len(TIERS.sizes) == 8
    assert TIERS.sizes[:3] == (Size(), Size(depth=0.5), Size(width=0.5))


def test_a_client_s_tier_depends_on_its_number_and_the_seed_alone():
    one, again = ([TIERS.of(client, seed=3) for client in range(200)] for _ in range(2))
    assert one == again
    assert one != [TIERS.of(client, seed=4) for client in range(200)]


def test_tiers_are_about_equally_large():
    found = Counter(TIERS.of(client, seed=0) for client in range(8_000))
    assert found.keys() == set(TIERS.sizes)
    assert all(count == pytest.approx(1_000, abs=150) for count in found.values())


def test_a_client_trains_the_sizes_that_fit_into_its_own():
    assert set(TIERS.inner(Size(width=0.25, depth=0.5))) == {Size(width=w, depth=0.5) for w in (0.25, 0.125)}
    assert TIERS.inner(FULL) == TIERS.sizes
    assert TIERS.model_copy(update={"ordered_dropout": False}).inner(FULL) == ()
    assert FullSize().inner(FULL) == ()


def test_all_sizes_within_have_equally_many_turns_and_the_whole_one_has_nothing_beside_it():
    three = Tiers(widths=(1.0, 0.5, 0.25)).sizes
    cycles = [tuple(islice(turns(FULL, three, seed, "prior", 2), 12)) for seed in (0, 0, 1)]
    assert cycles[0] == cycles[1] != cycles[2]
    assert [Counter(cycles[0][start : start + 3]) for start in range(0, 12, 3)] == 4 * [Counter((None, *three[1:]))]
    assert len({cycles[0][start : start + 3] for start in range(0, 12, 3)}) > 1
