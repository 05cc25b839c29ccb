"""The head on components, on hidden units and on features of the raw input."""

import pytest
import torch

from federation.learning.head import Head
from federation.manifold import Flat, GaborEnergies
from federation.models import Mlp
from federation.opening import open_scenario
from federation.rules import InputError
from federation.tasks import Classification
from federation.tensors import shapes, single

IMAGE = Classification(input_shape=(1, 6, 6), outputs=3)
LATENT = 2
HEADS = [Head(hidden=5), Head(hidden=0), Head(hidden=5, features=Flat()), Head(hidden=0, features=Flat())]
every_head = pytest.mark.parametrize("head", HEADS, ids=str)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weights(head: Head, seed: int = 0) -> dict[str, torch.Tensor]:
    return {name: drawn(*shape, seed=seed) for name, shape in head.shapes(IMAGE, LATENT).items()}


@every_head
def test_a_fresh_head_says_nothing_and_has_the_shapes_that_it_announces(head):
    fresh = head.init(IMAGE, LATENT, torch.Generator().manual_seed(0))
    read = head.reads(drawn(4, *IMAGE.input_shape), drawn(4, LATENT))
    assert shapes(fresh) == head.shapes(IMAGE, LATENT)
    assert not head.apply(single(fresh), read[None]).any()
    assert head.units(single(fresh), read[None]).shape == (1, 4, fresh["head.weight"].shape[1])


def test_without_hidden_units_it_is_linear_in_what_it_reads():
    head, rows, latent = Head(hidden=0), drawn(4, 1, 6, 6), torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    given = {"head.weight": torch.tensor([[3.0, 1.0]]), "head.bias": torch.tensor([0.5])}
    assert head.apply(single(given), head.reads(rows[:2], latent)[None]).tolist() == [[[5.5], [-0.5]]]


def test_with_hidden_units_it_is_a_network_of_one_hidden_layer():
    head, latent = Head(hidden=5), drawn(4, LATENT)
    torch.testing.assert_close(
        head.apply(single(weights(head)), latent[None]),
        Mlp(width=5, blocks=0).apply(single(weights(head)), latent[None]),
    )


@every_head
def test_the_mean_of_two_heads_says_the_mean(head):
    one, other, read = weights(head), weights(head, seed=1), head.reads(drawn(4, 1, 6, 6), drawn(4, LATENT))[None]
    both = head.beside(head).apply(single(head.mean_of(one, other, 0.25)), read)
    wanted = 0.25 * head.apply(single(one), read) + 0.75 * head.apply(single(other), read)
    torch.testing.assert_close(both, wanted, atol=1e-5, rtol=1e-4)


def test_what_it_costs_by_hand():
    head = Head(hidden=0, features=GaborEnergies(filters=2, side=3, cells=2))
    assert head.shapes(IMAGE, LATENT) == {"head.weight": (3, 16), "head.bias": (3,)}
    assert head.constants(IMAGE) == 2 * 9
    assert head.multiplies(IMAGE, weights(head)) == 2 * 9 * 36 + 3 * 16 + 3
    assert Head(hidden=5).constants(IMAGE) == 0
    assert Head(hidden=5).multiplies(IMAGE, weights(Head(hidden=5))) == 5 * 2 + 5 + 3 * 5 + 3


@pytest.mark.parametrize(("kind", "line"), [("gabor_energies", "reads images"), ("prior_trunk", "need the trunk")])
def test_features_that_a_head_cannot_have_are_refused_before_anything_runs(kind, line):
    opened = open_scenario("digits", {"head.features": {"kind": kind}})
    with pytest.raises(InputError, match=line):
        opened.federation()
