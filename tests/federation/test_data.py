"""From a dataset to a federation: what is held out, whose the test samples are, what is refused."""

import gc
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.data.distribution import federate
from federation.data.partition import Dirichlet, Iid, Natural, OnDemand
from federation.data.samples import UNKNOWN_CLIENT, ClientData, Dataset, FederatedData, Lazy, Pool, Samples
from federation.rules import InputError
from federation.tasks import Classification, Regression

CLASSES = Classification(input_shape=(1,), outputs=4)
VALUES = Regression(input_shape=(1,), outputs=1)


def numbered(count: int, first: int = 0, classes: int = 4) -> Samples:
    """Samples whose input is their own number, so that they can be recognised."""
    numbers = torch.arange(first, first + count)
    return Samples(numbers.float().unsqueeze(1), numbers % classes)


def numbers(samples: Samples) -> list[int]:
    return samples.inputs.flatten().int().tolist()


DATASET = Dataset(task=CLASSES, train=numbered(200), test=numbered(40, first=1000))
HOMES = np.repeat([0, 1, 2, 3], [20, 40, 60, 80])
NATURAL = replace(DATASET, group=HOMES, test_group=np.repeat([0, 1, 2, 9], 10))


def all_numbers(federation: FederatedData) -> list[int]:
    return [n for client in federation.clients for n in numbers(client.train) + numbers(client.held_out)]


# --- which test samples belong together ------------------------------------------------------------------------------


def test_a_client_s_test_samples_are_a_group_and_strangers_have_their_own():
    test_group = np.repeat([0, 9, 8, 9], 10)
    federation = federate(replace(NATURAL, test_group=test_group), Natural(), held_out=0.2, seed=0)
    group = federation.union_group
    assert (group[:10] == federation.union_client[:10]).all()
    assert (federation.union_client[10:] == UNKNOWN_CLIENT).all()
    assert len(set(group[10:20]) | set(group[30:])) == len(set(group[20:30])) == 1
    assert len(set(group)) == 3


def test_without_groups_of_the_data_a_group_is_who_the_samples_were_shared_out_to():
    federation = federate(DATASET, Dirichlet(clients=5, alpha=0.1), held_out=0.2, seed=0)
    assert (federation.union_group == federation.union_client).all()


def test_whom_nothing_is_known_of_comes_alone():
    pool = Pool(CLASSES, lambda number: ClientData(numbered(9), numbered(3), numbered(3)), numbered(7))
    assert federate(pool, OnDemand(clients=3), held_out=0.2, seed=0).union_group.tolist() == [UNKNOWN_CLIENT] * 7


# --- holding out -----------------------------------------------------------------------------------------------------


def test_training_and_held_out_samples_are_a_client_s_own_and_apart():
    federation = federate(DATASET, Iid(clients=5), held_out=0.2, seed=0)
    assert sorted(all_numbers(federation)) == list(range(200))


def test_the_share_that_was_asked_is_held_out():
    federation = federate(DATASET, Iid(clients=5), held_out=0.2, seed=0)
    assert [(len(c.train), len(c.held_out)) for c in federation.clients] == [(32, 8)] * 5


@given(st.integers(1, 60), st.integers(1, 6), st.floats(0.01, 0.99), st.integers(0, 100))
def test_every_client_keeps_a_sample_to_train_on(samples, clients, share, seed):
    dataset = replace(DATASET, train=numbered(samples))
    if clients > samples:
        with pytest.raises(InputError):
            federate(dataset, Iid(clients=clients), share, seed)
    else:
        federation = federate(dataset, Iid(clients=clients), share, seed)
        assert all(len(client.train) > 0 for client in federation.clients)
        assert sorted(all_numbers(federation)) == list(range(samples))


def test_a_unit_is_never_torn_between_training_and_held_out_samples():
    unit = np.arange(200) // 10  # ten overlapping windows of each recording
    dataset = replace(DATASET, group=np.repeat([0, 1], 100), unit=unit)
    for client in federate(dataset, Natural(), held_out=0.3, seed=0).clients:
        kept, aside = ({int(unit[n]) for n in numbers(part)} for part in (client.train, client.held_out))
        assert kept.isdisjoint(aside)
        assert (len(kept), len(aside)) == (7, 3)


def test_a_client_with_a_single_unit_holds_nothing_out():
    dataset = replace(DATASET, group=np.repeat([0, 1], 100), unit=np.repeat([0, 1], 100))
    assert [len(c.held_out) for c in federate(dataset, Natural(), 0.5, 0).clients] == [0, 0]


def test_what_is_held_out_depends_on_the_seed_alone():
    first, same, other = (federate(DATASET, Iid(clients=5), 0.2, seed) for seed in (1, 1, 2))
    assert all_numbers(first) == all_numbers(same)
    assert all_numbers(first) != all_numbers(other)


# --- whose the test samples are --------------------------------------------------------------------------------------


def test_every_test_sample_belongs_to_one_client_and_is_in_its_local_test():
    federation = federate(DATASET, Dirichlet(clients=4, alpha=0.3), 0.2, 0)
    assert (federation.union_client != UNKNOWN_CLIENT).all()
    local = [numbers(client.test) for client in federation.clients]
    assert sorted(n for own in local for n in own) == list(range(1000, 1040))
    for number, own in enumerate(local):
        assert own == (1000 + np.flatnonzero(federation.union_client == number)).tolist()


def test_test_samples_are_shared_out_as_the_training_samples_of_their_class_were():
    halves = np.where(np.arange(200) % 4 < 2, 0, 1)  # classes 0 and 1 are at home in group 0, 2 and 3 in group 1
    dataset = replace(DATASET, group=halves)
    federation = federate(dataset, Natural(), 0.2, 0)
    assert np.array_equal(federation.union_client, np.where(federation.union_test.targets.numpy() < 2, 0, 1))


def test_clients_get_test_samples_in_proportion():
    federation = federate(replace(DATASET, group=HOMES), Natural(), 0.2, 0)
    assert np.bincount(federation.union_client).tolist() == [4, 8, 12, 16]  # a tenth, two, three and four tenths of 40


def test_test_samples_of_a_natural_group_go_to_its_own_client():
    federation = federate(NATURAL, Natural(), 0.2, 0)
    assert federation.union_client[:30].tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_a_test_sample_of_a_group_that_no_client_has_is_a_stranger_s():
    federation = federate(NATURAL, Natural(), 0.2, 0)
    assert federation.union_client[30:].tolist() == [UNKNOWN_CLIENT] * 10
    assert sum(len(client.test) for client in federation.clients) == 30


def test_a_class_that_a_group_never_trained_on_still_goes_to_that_group():
    labels = torch.where(
        torch.arange(200) < 20, torch.zeros(()), torch.arange(200) % 4
    ).long()  # group 0 saw class 0 only
    dataset = replace(NATURAL, train=Samples(DATASET.train.inputs, labels))
    assert federate(dataset, Natural(), 0.2, 0).union_client[:10].tolist() == [0] * 10


def test_a_local_test_set_of_its_own_takes_the_place_of_the_union_s_share():
    local = numbered(30, first=5000)
    dataset = replace(NATURAL, local_test=local, local_test_group=np.repeat([2, 1, 0], 10))
    federation = federate(dataset, Natural(), 0.2, 0)
    assert numbers(federation.clients[2].test) == list(range(5000, 5010))
    assert numbers(federation.clients[3].test) == []
    assert len(federation.union_client) == len(federation.union_test) == 40


def test_real_valued_targets_are_shared_out_too():
    train, test = (Samples(s.inputs, s.inputs / 1000) for s in (DATASET.train, DATASET.test))
    federation = federate(Dataset(task=VALUES, train=train, test=test), Iid(clients=4), 0.2, 0)
    assert np.bincount(federation.union_client).tolist() == [10] * 4


# --- what is known of clients, and what is refused -------------------------------------------------------------------


def test_a_client_s_domain_is_the_one_of_most_of_its_samples():
    domain = np.repeat([0, 1, 0, 2], [20, 40, 60, 80])
    domain[20:30] = 2  # ten of the forty samples of group 1
    federation = federate(replace(NATURAL, domain=domain, domain_names=("a", "b", "c")), Natural(), 0.2, 0)
    assert federation.client_domain.tolist() == [0, 1, 0, 2]
    assert federation.domain_names == ("a", "b", "c")


def test_without_domains_all_clients_are_of_one():
    federation = federate(DATASET, Iid(clients=3), 0.2, 0)
    assert (federation.client_domain.tolist(), federation.domain_names) == ([0, 0, 0], ("all",))


def test_a_split_that_would_leak_is_refused():
    dataset = replace(NATURAL, leaks_unless_natural="windows of one recording overlap")
    with pytest.raises(
        InputError, match="kind=iid leaks: windows of one recording overlap; use partition.kind=natural"
    ):
        federate(dataset, Iid(clients=3), 0.2, 0)
    assert len(federate(dataset, Natural(), 0.2, 0).clients) == 4


def test_samples_are_taken_in_the_order_of_the_index():
    assert numbers(numbered(10).take(np.array([7, 2, 2]))) == [7, 2, 2]
    assert numbers(Samples.concatenated([numbered(2), numbered(2, first=8)])) == [0, 1, 8, 9]


# --- pools made on demand --------------------------------------------------------------------------------------------


def own(number: int) -> ClientData:
    return ClientData(numbered(3, first=number), Samples.none(CLASSES), Samples.none(CLASSES))


POOL = Pool(CLASSES, own, numbered(5))


def test_a_pool_makes_only_the_clients_that_are_asked_for():
    made = []
    clients = Lazy(1_000_000, lambda number: made.append(number) or own(number))
    assert len(clients) == 1_000_000
    for _ in range(4):
        assert numbers(clients[7].train) == [7, 8, 9]
    assert made == [7, 7]  # whoever is asked once is not kept


def test_of_clients_asked_in_turn_most_are_kept_even_where_room_is_short():
    made = []
    clients = Lazy(100, lambda number: made.append(number) or own(number), kept=90 * own(0).nbytes)
    for _ in range(12):
        for number in range(100):
            assert numbers(clients[number].train)[0] == number
    assert made[:200] == [*range(100)] * 2
    assert len(made) < 200 + 10 * 30  # a tenth has no room; the last ones asked, if they were kept, would all be missed


def test_a_pool_never_holds_more_than_it_may():
    born = []

    def make(number: int) -> ClientData:
        born.append(ref(made := own(number)))
        return made

    clients = Lazy(50, make, kept=7 * own(0).nbytes)
    for number in [*range(50)] * 3:
        clients[number]
    gc.collect()
    assert sum(client() is not None for client in born) == 7


def test_a_client_larger_than_the_memory_of_a_pool_is_still_given():
    assert numbers(Lazy(3, own, kept=1)[2].train) == [2, 3, 4]


def test_a_pool_is_opened_by_the_number_of_its_clients():
    federation = federate(POOL, OnDemand(clients=50_000), held_out=0.2, seed=0)
    assert len(federation.clients) == 50_000
    assert [numbers(client.train)[0] for client in federation.clients[49_998:]] == [49_998, 49_999]
    assert set(federation.union_client) == {UNKNOWN_CLIENT}
    with pytest.raises(IndexError, match="client 50000 of a pool of 50000"):
        federation.clients[50_000]


def test_a_pool_is_not_split_and_samples_are_not_made():
    with pytest.raises(InputError, match="makes its own clients"):
        federate(POOL, Iid(clients=5), held_out=0.2, seed=0)
    with pytest.raises(InputError, match="makes its clients' samples"):
        federate(DATASET, OnDemand(clients=5), held_out=0.2, seed=0)


@pytest.mark.parametrize("task", [CLASSES, VALUES], ids=lambda task: task.kind())
def test_no_samples_have_the_shapes_of_a_task(task):
    nothing = Samples.none(task)
    assert len(nothing) == 0
    assert nothing.inputs.shape == (0, 1)
    assert nothing.targets.dtype == task.target_dtype
