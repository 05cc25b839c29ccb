"""How rows are distributed: every row at most once, by the seed alone, and clear words where it cannot be done."""

import numpy as np
import pytest

from federation.data.partition import Automatic, Dirichlet, Iid, Natural, OnDemand, PartitionRule, Shards
from federation.rules import InputError

SAMPLES = 240
LABELS = np.random.default_rng(0).integers(6, size=SAMPLES)
GROUPS = np.random.default_rng(1).permutation(np.repeat([30, 10, 50, 20], [20, 40, 80, 100]))

RULES = {
    "iid": Iid(clients=7),
    "dirichlet": Dirichlet(clients=6, alpha=0.5, min_samples=5),
    "unbalanced dirichlet": Dirichlet(clients=6, alpha=0.5, min_samples=5, balanced=False),
    "shards": Shards(clients=7, shards=3),
    "natural": Natural(),
    "natural, cut": Natural(within=3),
    "automatic": Automatic(),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


def split(rule: PartitionRule, seed: int = 0) -> list[np.ndarray]:
    return rule.split(SAMPLES, LABELS, GROUPS, seed)


def test_every_rule_has_a_row():
    assert {OnDemand, *map(type, RULES.values())} == set(PartitionRule.kinds().values())  # which never splits


@every_rule
def test_every_row_goes_to_at_most_one_client(rule):
    rows = np.concatenate(split(rule))
    assert len(np.unique(rows)) == len(rows)
    assert rows.min() >= 0
    assert rows.max() < SAMPLES


@every_rule
def test_nobody_goes_away_empty(rule):
    assert all(len(rows) > 0 for rows in split(rule))


@every_rule
def test_the_seed_determines_the_split(rule):
    first, same = split(rule, seed=3), split(rule, seed=3)
    assert len(first) == len(same)
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))


@pytest.mark.parametrize(
    "rule", [RULES[n] for n in ("iid", "dirichlet", "shards", "natural, cut")], ids=lambda rule: rule.kind()
)
def test_another_seed_gives_another_split(rule):
    first, other = split(rule, seed=3), split(rule, seed=4)
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", ["iid", "dirichlet", "unbalanced dirichlet", "natural", "natural, cut", "automatic"])
def test_no_row_is_lost(name):
    assert len(np.concatenate(split(RULES[name]))) == SAMPLES


def test_equal_shares_differ_by_one_row_at_most():
    sizes = [len(rows) for rows in split(Iid(clients=7))]
    assert sorted(set(sizes)) == [SAMPLES // 7, SAMPLES // 7 + 1]


def test_dirichlet_gives_every_client_its_least_number():
    assert min(len(rows) for rows in split(Dirichlet(clients=6, alpha=0.2, min_samples=15))) >= 15


def test_a_smaller_alpha_leaves_clients_with_fewer_classes():
    def classes(alpha: float) -> float:
        parts = split(Dirichlet(clients=6, alpha=alpha, min_samples=5))
        return float(np.mean([len(np.unique(LABELS[rows])) for rows in parts]))

    assert classes(0.05) < classes(100.0)
    assert classes(100.0) == 6


def test_a_client_of_two_shards_sees_few_classes():
    labels = np.repeat(np.arange(6), 40)
    parts = Shards(clients=6, shards=2).split(SAMPLES, labels, None, 0)
    assert [len(rows) for rows in parts] == [40] * 6
    assert max(len(np.unique(labels[rows])) for rows in parts) <= 2


def test_natural_clients_are_the_groups_in_their_order():
    parts = split(Natural())
    assert [np.unique(GROUPS[rows]).tolist() for rows in parts] == [[10], [20], [30], [50]]


def test_groups_are_numbered_from_zero():
    with pytest.raises(InputError, match="numbered from 0, got -1; renumber the groups"):
        Natural().split(4, None, np.array([0, 0, -1, -1]), 0)


def test_groups_are_cut_into_clients_of_their_own():
    parts = split(Natural(within=2))
    assert [np.unique(GROUPS[rows]).tolist() for rows in parts] == [[g] for g in (10, 10, 20, 20, 30, 30, 50, 50)]
    assert [len(rows) for rows in parts] == [20, 20, 50, 50, 10, 10, 40, 40]


def test_automatic_is_natural_where_the_data_name_clients_and_iid_elsewhere():
    natural, iid = split(Natural()), Iid(clients=4).split(SAMPLES, LABELS, None, 5)
    assert all(np.array_equal(a, b) for a, b in zip(split(Automatic(clients=4)), natural, strict=True))
    automatic = Automatic(clients=4).split(SAMPLES, LABELS, None, 5)
    assert all(np.array_equal(a, b) for a, b in zip(automatic, iid, strict=True))


@pytest.mark.parametrize("rule", [Iid(clients=9), Dirichlet(clients=9), Shards(clients=9), Automatic(clients=9)])
def test_more_clients_than_samples_are_refused(rule):
    with pytest.raises(InputError, match="partition.clients=9 is more than the 8 samples; ask for fewer clients"):
        rule.split(8, np.zeros(8, dtype=np.int64), None, 0)


def test_more_shards_than_samples_are_refused():
    with pytest.raises(InputError, match="4 clients x 3 shards are more than the 8 samples"):
        Shards(clients=4, shards=3).split(8, np.zeros(8, dtype=np.int64), None, 0)


@pytest.mark.parametrize("rule", [Dirichlet(clients=2), Shards(clients=2)], ids=lambda rule: rule.kind())
def test_label_skew_needs_labels(rule):
    with pytest.raises(InputError, match=f"partition.kind={rule.kind()} needs classes, the targets are real values"):
        rule.split(SAMPLES, None, None, 0)


def test_an_impossible_dirichlet_says_what_to_change():
    rule = Dirichlet(clients=30, alpha=0.1, min_samples=10)
    with pytest.raises(InputError, match=r"each of 30 clients 10 of the 240 samples; raise partition.alpha"):
        rule.split(SAMPLES, LABELS, None, 0)


def test_natural_needs_data_that_name_their_clients():
    with pytest.raises(InputError, match="partition.kind=natural needs data that name their clients"):
        Natural().split(SAMPLES, LABELS, None, 0)


def test_a_group_cannot_be_cut_into_more_clients_than_it_has_samples():
    with pytest.raises(InputError, match="partition.within=21 is more than the samples of the smallest group"):
        split(Natural(within=21))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_splitting_says_nothing(rule, capsys):
    split(rule)
    assert capsys.readouterr().err == ""
