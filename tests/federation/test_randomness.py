"""Randomness is addressed: what is drawn depends on the address alone."""

import zlib

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.randomness import Streams, generator, torch_generator

SEEDS = st.integers(0, 2**32)
ADDRESSES = st.lists(st.one_of(st.integers(0, 2**31), st.text(max_size=12)), max_size=4).map(tuple)


def drawn(seed: int, address: tuple[int | str, ...]) -> list[int]:
    return generator(seed, *address).integers(2**63, size=2).tolist()


@given(SEEDS, ADDRESSES)
def test_an_address_always_gives_the_same_draws(seed, address):
    assert drawn(seed, address) == drawn(seed, address)


@given(SEEDS, ADDRESSES, ADDRESSES)
def test_two_addresses_give_different_draws(seed, one, other):
    assert (drawn(seed, one) == drawn(seed, other)) == (one == other)


@given(SEEDS, SEEDS, ADDRESSES)
def test_two_seeds_give_different_draws(one, other, address):
    assert (drawn(one, address) == drawn(other, address)) == (one == other)


def test_a_number_is_not_its_name():
    assert drawn(0, (1,)) != drawn(0, ("1",))
    assert drawn(0, (zlib.crc32(b"batches"),)) != drawn(0, ("batches",))


def test_the_order_of_an_address_matters():
    assert drawn(0, ("batches", 1, 2)) != drawn(0, ("batches", 2, 1))


def test_draws_elsewhere_change_nothing():
    expected = drawn(3, ("batches", 0))
    generator(3, "batches", 1).normal(size=1000)
    np.random.default_rng(0).normal(size=10)
    torch.rand(10)
    assert drawn(3, ("batches", 0)) == expected


def test_the_global_states_are_not_touched():
    before = torch.get_rng_state()
    generator(0, "x").normal()
    torch.rand(3, generator=torch_generator(0, "x"))
    assert torch.equal(torch.get_rng_state(), before)


@given(SEEDS, ADDRESSES, ADDRESSES)
def test_torch_draws_are_addressed_in_the_same_way(seed, one, other):
    first, same, second = (torch.rand(4, generator=torch_generator(seed, *a)) for a in (one, one, other))
    assert torch.equal(first, same)
    assert torch.equal(first, second) == (one == other)


@given(SEEDS, ADDRESSES, st.lists(st.integers(0, 2**40), min_size=2, max_size=2, unique=True))
def test_a_stream_depends_on_its_client_and_not_on_those_before(seed, address, clients):
    one, other = clients
    streams = Streams(seed, *address)
    first, second, again = (streams.of(client).integers(2**63, size=3).tolist() for client in (one, other, one))
    assert first == again == Streams(seed, *address).of(one).integers(2**63, size=3).tolist()
    assert first != second
