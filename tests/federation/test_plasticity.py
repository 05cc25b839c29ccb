"""The measures of plasticity take the values that are known in closed form, and add up."""

import math

import pytest
import torch

from benchmarks.plasticity_measures import LayerSums, drawn, effective_rank, evidence, weight_rank
from federation.models import Convnet, Mlp
from federation.tasks import Classification, Regression
from federation.tensors import single, stacked

CLASSES = Classification(input_shape=(4,), outputs=3)
VALUES = Regression(input_shape=(4,), outputs=2)
IMAGES = Classification(input_shape=(1, 8, 8), outputs=3)


def sums_of(said: torch.Tensor) -> LayerSums:
    """One client's."""
    return LayerSums.of(said[None], torch.ones(1, len(said), dtype=torch.float64))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def model_of(family, task, seed=0):
    return family.init(task, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("units", [1, 5, 40])
def test_the_identity_has_full_rank(units):
    assert float(effective_rank(torch.ones(units))) == pytest.approx(units)
    assert float(weight_rank(torch.eye(units)[None])) == pytest.approx(units)
    assert float(sums_of(3 * torch.eye(units)).rank()) == pytest.approx(units)


def test_an_outer_product_has_rank_one():
    outer = torch.outer(normal(30), normal(20, seed=1))
    assert float(weight_rank(outer[None])) == pytest.approx(1, abs=1e-5)
    assert float(sums_of(outer).rank()) == pytest.approx(1, abs=1e-4)


def test_a_silent_layer_has_rank_one():
    assert float(sums_of(torch.zeros(5, 3)).rank()) == 1


def test_singular_values_of_two_to_one_have_the_entropy_of_two_thirds():
    expected = math.exp(-(2 / 3) * math.log(2 / 3) - (1 / 3) * math.log(1 / 3))
    assert float(weight_rank(torch.diag(torch.tensor([2.0, 1.0]))[None])) == pytest.approx(expected)
    assert float(sums_of(torch.diag(torch.tensor([2.0, 1.0]))).rank()) == pytest.approx(expected)


def test_the_rank_of_activations_is_that_of_their_singular_values():
    said = normal(50, 8)
    torch.testing.assert_close(sums_of(said).rank(), effective_rank(torch.linalg.svdvals(said.double()))[None])


def test_units_of_at_most_a_tenth_of_the_mean_are_dormant():
    # the mean of the layer is 1
    said = torch.tensor([[0.0, 0.0999, 0.1001, 3.8]])
    assert sums_of(said).dormant().tolist() == [[True, True, False, False]]
    assert sums_of(said).dormant(tau=0.0).tolist() == [[True, False, False, False]]


def test_all_units_of_a_silent_layer_are_dormant():
    assert sums_of(torch.zeros(5, 3)).dormant().all()


@pytest.mark.parametrize("dead", [0, 1, 7])
def test_the_dormant_share_is_that_of_the_dead_units_of_all_layers(dead):
    family = Mlp(width=10, blocks=1)
    model = model_of(family, CLASSES)
    model["stem.bias"] += 10  # so that the others are awake
    model["block0.bias"] += 100
    model["stem.weight"][:dead], model["stem.bias"][:dead] = 0, -1
    seen = evidence(family, CLASSES, single(model), normal(1, 20, 4), torch.zeros(1, 20, dtype=torch.int64))
    assert seen.layers["stem"].dormant().sum() == dead
    assert float(seen.dormant_share()) == pytest.approx(dead / 20)


def test_a_channel_is_dormant_where_it_is_silent_at_all_places():
    family = Convnet(channels=(4, 6), blocks=1)
    model = model_of(family, IMAGES)
    model["stage0.bias"] += 10
    model["stage0.weight"][1], model["stage0.bias"][1] = 0, -1
    seen = evidence(family, IMAGES, single(model), normal(1, 5, 1, 8, 8), torch.zeros(1, 5, dtype=torch.int64))
    assert list(seen.layers) == ["stage0", "stage1", "block0"]
    assert seen.layers["stage0"].dormant().tolist() == [[False, True, False, False]]
    assert seen.layers["stage1"].products.shape == (1, 6, 6)


def test_the_fisher_trace_of_a_linear_gaussian_model_is_the_mean_square_of_its_inputs():
    """f = W relu(x) + b with x > 0 and one unit an input: the gradients are (f - y) (x, 1), E (f - y)^2 = 1.

    The stem is held by a head of zeros, which lets no gradient through.
    """
    family = Mlp(width=4, blocks=0)
    model = {
        "stem.weight": torch.eye(4),
        "stem.bias": torch.zeros(4),
        "head.weight": torch.zeros(2, 4),
        "head.bias": normal(2),
    }
    inputs = normal(1, 20_000, 4).abs()
    targets = drawn(VALUES, family.apply(single(model), inputs), torch.Generator().manual_seed(1))
    seen = evidence(family, VALUES, single(model), inputs, targets)
    assert float(seen.fisher_trace()) == pytest.approx(2 * (4 + 1), rel=0.03)


def test_the_fisher_trace_of_a_softmax_is_the_spread_of_its_probabilities_times_what_it_reads():
    """E_y |p - e_y|^2 = 1 - |p|^2, times |h|^2 + 1."""
    family = Mlp(width=4, blocks=0)
    bias = torch.tensor([0.0, 1.0, 2.0])
    model = {
        "stem.weight": torch.eye(4),
        "stem.bias": torch.zeros(4),
        "head.weight": torch.zeros(3, 4),
        "head.bias": bias,
    }
    inputs = torch.tensor([1.0, 2.0, 0.0, 1.0]).expand(1, 40_000, 4)
    targets = drawn(CLASSES, family.apply(single(model), inputs), torch.Generator().manual_seed(1))
    seen = evidence(family, CLASSES, single(model), inputs, targets)
    expected = (1 - float(bias.softmax(0).square().sum())) * (6 + 1)
    assert float(seen.fisher_trace()) == pytest.approx(expected, rel=0.01)
    assert float(seen.capacity(3.0)) == pytest.approx(3 / (1 + expected), rel=0.01)


def test_batches_add_up_and_padding_weighs_nothing():
    family = Convnet(channels=(3,), blocks=1)
    models = stacked([model_of(family, IMAGES, seed) for seed in (0, 1)])
    inputs, targets = normal(2, 6, 1, 8, 8), torch.arange(12).view(2, 6) % 3
    whole = evidence(family, IMAGES, models, inputs, targets)
    halves = [evidence(family, IMAGES, models, inputs[:, half], targets[:, half]) for half in (slice(4), slice(4, 6))]
    padding = torch.tensor([[1.0] * 4 + [0.0] * 2] * 2)
    for one, other in (
        (halves[0] + halves[1], whole),
        (evidence(family, IMAGES, models, inputs, targets, padding), halves[0]),
    ):
        torch.testing.assert_close(one.samples, other.samples)
        torch.testing.assert_close(one.squares, other.squares)
        torch.testing.assert_close(one.dormant_share(), other.dormant_share())
        torch.testing.assert_close(one.layers["block0"].rank(), other.layers["block0"].rank(), rtol=1e-4, atol=1e-4)


def test_clients_with_the_same_model_are_together_what_their_samples_are():
    family = Mlp(width=6, blocks=1)
    model = model_of(family, CLASSES)
    inputs, targets = normal(2, 5, 4), torch.arange(10).view(2, 5) % 3
    apart = evidence(family, CLASSES, stacked([model, model]), inputs, targets).together()
    pooled = evidence(family, CLASSES, single(model), inputs.view(1, 10, 4), targets.view(1, 10))
    assert float(apart.samples) == 10
    torch.testing.assert_close(apart.fisher_trace(), pooled.fisher_trace())
    torch.testing.assert_close(apart.layers["stem"].rank(), pooled.layers["stem"].rank())
