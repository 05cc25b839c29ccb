"""Which size a client trains: its own for ever, and all sizes about as often."""

from collections import Counter

import pytest

from federation.models import FullSize, Size, SizeRule, Tiers
from federation.models.family import FULL

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
