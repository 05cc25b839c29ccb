"""What every elastic family must keep. A new family adds rows to FAMILIES and inherits the battery."""

from itertools import pairwise
from math import lcm, sqrt

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from federation.models import Convnet, ElasticFamily, Mlp, Size
from federation.models.family import FULL, Product, share
from federation.tasks import Classification, Regression, Task
from federation.tensors import corner, count, stacked

FLAT = Classification(input_shape=(7,), outputs=3)
VALUES = Regression(input_shape=(5,), outputs=2)
IMAGE = Classification(input_shape=(1, 28, 28), outputs=10)
SIGNAL = Classification(input_shape=(9, 128, 1), outputs=6)

FAMILIES = {
    "mlp": (Mlp(width=12, blocks=1), FLAT),
    "mlp without blocks": (Mlp(width=12, blocks=0), VALUES),
    "deep mlp": (Mlp(width=9, blocks=3), VALUES),
    "plain mlp": (Mlp(width=12, blocks=1, residual=False), FLAT),
    "plain mlp without blocks": (Mlp(width=12, blocks=0, residual=False), FLAT),
    "deep plain mlp": (Mlp(width=9, blocks=3, residual=False), FLAT),
    "mlp on images": (Mlp(width=6, blocks=1), IMAGE),
    "convnet on images": (Convnet(channels=(4, 6), blocks=0), IMAGE),
    "deep convnet on images": (Convnet(channels=(4, 6, 5), blocks=2), IMAGE),
    "convnet on signals": (Convnet(channels=(4, 6), blocks=0), SIGNAL),
    "deep convnet on signals": (Convnet(channels=(6,), blocks=2), SIGNAL),
}
ROWS = [type(family) for family, _ in FAMILIES.values()]
FAMILIES |= {kind: (family(), FLAT) for kind, family in ElasticFamily.kinds().items() if family not in ROWS}
SMALL_TO_LARGE = [
    Size(width=0.01, depth=0),
    Size(width=0.3, depth=0),
    Size(width=0.3, depth=0.5),
    Size(width=0.5, depth=0.5),
    Size(width=0.5, depth=1),
    FULL,
]

every_family = pytest.mark.parametrize(("family", "task"), FAMILIES.values(), ids=FAMILIES.keys())
every_size = pytest.mark.parametrize("size", SMALL_TO_LARGE, ids=lambda size: f"{size.width}x{size.depth}")


def model_of(family: ElasticFamily, task: Task, seed: int = 0) -> dict[str, torch.Tensor]:
    """A model whose biases, too, are not zero."""
    draw = torch.Generator().manual_seed(seed)
    fresh = family.init(task, draw)
    return {name: tensor + 0.1 * torch.randn(tensor.shape, generator=draw) for name, tensor in fresh.items()}


def rows_of(task: Task, *leading: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*leading, *task.input_shape, generator=torch.Generator().manual_seed(seed))


def lift(part: dict[str, torch.Tensor], whole: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A slice in its place in the whole model; all other coordinates keep their values."""
    lifted = {name: tensor.clone() for name, tensor in whole.items()}
    for name, tensor in part.items():
        lifted[name][corner(tensor.shape)] = tensor
    return lifted


def alone(model: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor[None] for name, tensor in model.items()}


def written_out(family: ElasticFamily, model: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """One model on its rows, with torch's own single-model layers and no clients axis."""
    blocks = sum(name.startswith("block") and name.endswith("weight") for name in model)
    if isinstance(family, Mlp):
        hidden = F.linear(rows.flatten(1), model["stem.weight"], model["stem.bias"]).relu()
        for block in range(blocks):
            update = F.linear(hidden, model[f"block{block}.weight"], model[f"block{block}.bias"]).relu()
            hidden = hidden + update if family.residual else update
        return F.linear(hidden, model["head.weight"], model["head.bias"])
    assert isinstance(family, Convnet)
    signal = rows.shape[-1] == 1
    hidden = rows
    for stage in range(len(family.channels)):
        reach = 1 if stage else 2
        padding, stride = ((reach, 0), (2, 1)) if signal else ((reach, reach), (2, 2))
        weight, bias = model[f"stage{stage}.weight"], model[f"stage{stage}.bias"]
        hidden = F.conv2d(hidden, weight, bias, stride=1 if stage else stride, padding=padding).relu()
        if stage:
            hidden = F.max_pool2d(hidden, (2, 1) if signal else 2)
    for block in range(blocks):
        weight, bias = model[f"block{block}.weight"], model[f"block{block}.bias"]
        hidden = hidden + F.conv2d(hidden, weight, bias, padding=(1, 0) if signal else 1).relu()
    return torch.einsum("schw,ochw->so", hidden, model["head.weight"]) + model["head.bias"]


@every_size
@every_family
def test_a_slice_lifted_into_its_own_model_changes_nothing(family, task, size):
    whole = model_of(family, task)
    lifted = lift(family.slice(whole, task, size), whole)
    assert lifted.keys() == whole.keys()
    assert all(torch.equal(lifted[name], whole[name]) for name in whole)


@every_size
@every_family
def test_lifting_replaces_the_slice_and_keeps_all_other_coordinates(family, task, size):
    whole, other = model_of(family, task, seed=0), model_of(family, task, seed=5)
    part = family.slice(other, task, size)
    lifted = lift(part, whole)
    again = family.slice(lifted, task, size)
    assert all(torch.equal(again[name], part[name]) for name in part)
    kept = sum(int((lifted[name] == whole[name]).sum()) for name in whole)
    assert kept == count(whole) - count(part)


@every_family
def test_lifting_does_not_touch_its_arguments(family, task):
    whole, other = model_of(family, task, seed=0), model_of(family, task, seed=5)
    before = {name: tensor.clone() for name, tensor in whole.items()}
    lift(family.slice(other, task, Size(width=0.5)), whole)
    assert all(torch.equal(whole[name], before[name]) for name in whole)


@every_family
def test_a_slice_of_a_cohort_is_the_cohort_of_slices(family, task):
    models, size = [model_of(family, task, seed) for seed in range(3)], Size(width=0.5, depth=0.5)
    together = family.slice(stacked(models), task, size)
    apart = stacked([family.slice(model, task, size) for model in models])
    assert together.keys() == apart.keys()
    assert all(torch.equal(together[name], apart[name]) for name in together)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str)
@every_family
def test_a_cohort_computes_and_learns_what_its_members_do_alone(family, task, dtype, tolerance):
    cohort = {
        name: t.to(dtype).requires_grad_()
        for name, t in stacked([model_of(family, task, s) for s in (0, 1, 2)]).items()
    }
    rows, along = (
        rows_of(task, 3, 4).to(dtype),
        torch.randn(3, 4, task.outputs, generator=torch.Generator().manual_seed(2)),
    )
    together = family.apply(cohort, rows)
    gradients = dict(
        zip(cohort, torch.autograd.grad((together * along / 100).sum(), list(cohort.values())), strict=True)
    )
    for member in range(3):
        single = {name: t[member : member + 1].detach().clone().requires_grad_() for name, t in cohort.items()}
        outputs = family.apply(single, rows[member : member + 1])
        own = torch.autograd.grad((outputs * along[member] / 100).sum(), list(single.values()))
        torch.testing.assert_close(together[member], outputs[0], rtol=tolerance, atol=tolerance)
        for name, gradient in zip(single, own, strict=True):
            torch.testing.assert_close(gradients[name][member], gradient[0], rtol=tolerance, atol=tolerance)


@every_size
@every_family
def test_gradients_by_vjp_are_those_of_automatic_differentiation(family, task, size):
    models = family.slice(stacked([model_of(family, task, s) for s in (0, 1)]), task, size)
    leaves = {name: t.double().requires_grad_() for name, t in models.items()}
    rows = rows_of(task, 2, 3).double()
    along = torch.randn(2, 3, task.outputs, generator=torch.Generator().manual_seed(2)).double()
    expected = family.apply(leaves, rows)
    gradients = torch.autograd.grad((expected * along).sum(), list(leaves.values()))
    outputs, vjp = family.vjp(leaves, rows)
    pulled = {name: s.written() if isinstance(s, Product) else s for name, s in vjp(along).items()}
    torch.testing.assert_close(outputs, expected.detach(), rtol=1e-12, atol=1e-12)
    assert pulled.keys() == leaves.keys()
    for name, gradient in zip(leaves, gradients, strict=True):
        torch.testing.assert_close(pulled[name], gradient, rtol=1e-12, atol=1e-12)


@every_size
@every_family
def test_squares_of_rows_are_those_of_the_gradients_of_each_row_alone(family, task, size):
    models = family.slice(stacked([model_of(family, task, s) for s in (0, 1)]), task, size)
    models, rows = {name: t.double() for name, t in models.items()}, rows_of(task, 2, 3).double()
    squares = family.row_squares(models, rows, lambda outputs: 2 * outputs)
    for row in range(3):
        outputs, vjp = family.vjp(models, rows[:, row : row + 1])
        pulled = [s.written() if isinstance(s, Product) else s for s in vjp(2 * outputs).values()]
        torch.testing.assert_close(squares[:, row], sum(gradient.flatten(1).square().sum(1) for gradient in pulled))


@every_size
@every_family
def test_the_head_reads_the_last_hidden_layer_and_what_the_blocks_add_to_it(family, task, size):
    models = family.slice(stacked([model_of(family, task, s) for s in (0, 1)]), task, size)
    rows = rows_of(task, 2, 4)
    said = family.hidden(models, rows)
    assert (
        list(said) == [name.removesuffix(".bias") for name in family.shapes(task, size) if name.endswith("bias")][:-1]
    )
    assert all(bool((layer >= 0).all()) for layer in said.values())
    trunk = [layer for name, layer in said.items() if not name.startswith("block")][-1]
    blocks = [layer for name, layer in said.items() if name.startswith("block")]
    read = trunk + sum(blocks) if family.skips else [trunk, *blocks][-1]
    outputs = read.flatten(2) @ models["head.weight"].flatten(2).mT + models["head.bias"][:, None]
    torch.testing.assert_close(outputs, family.apply(models, rows), rtol=1e-4, atol=1e-4)


def test_descending_along_a_product_is_descending_along_what_it_stands_for():
    draw = torch.Generator().manual_seed(0)
    left, right, weight = (torch.randn(2, *shape, generator=draw) for shape in ((5, 3), (5, 4), (3, 4)))
    expected = weight - 0.1 * left.transpose(1, 2) @ right
    torch.testing.assert_close(Product(left, right).descend(weight, 0.1), expected)


@every_size
@every_family
def test_a_model_of_any_size_is_its_layers_written_out(family, task, size):
    part = {name: tensor.double() for name, tensor in family.slice(model_of(family, task), task, size).items()}
    rows = rows_of(task, 4).double()
    torch.testing.assert_close(family.apply(alone(part), rows[None])[0], written_out(family, part, rows))


@every_size
@every_family
def test_a_smaller_model_is_the_whole_model_with_the_rest_at_zero(family, task, size):
    if isinstance(family, Mlp) and not family.residual:
        size = Size(width=size.width)  # a plain layer at zero lets nothing through, so depth cannot shrink this way
    whole = {name: tensor.double() for name, tensor in model_of(family, task).items()}
    part = family.slice(whole, task, size)
    padded = lift(part, {name: torch.zeros_like(tensor) for name, tensor in whole.items()})
    rows = rows_of(task, 1, 4).double()
    torch.testing.assert_close(family.apply(alone(part), rows), family.apply(alone(padded), rows))


@every_family
def test_sizes_are_nested_and_grow(family, task):
    for small, large in pairwise(SMALL_TO_LARGE):
        inner, outer = family.shapes(task, small), family.shapes(task, large)
        assert inner.keys() <= outer.keys()
        assert all(a <= b for name in inner for a, b in zip(inner[name], outer[name], strict=True))
        assert family.parameters(task, small) <= family.parameters(task, large)
        assert family.multiplies(task, small) <= family.multiplies(task, large)
        assert family.activations(task, small) <= family.activations(task, large)
    assert family.parameters(task, SMALL_TO_LARGE[0]) < family.parameters(task, FULL)


@every_family
@pytest.mark.parametrize("units", [1, 3, -2, 1000])
def test_turning_the_units_changes_nothing_that_a_model_says(family, task, units):
    whole, rows = model_of(family, task), rows_of(task, 1, 5)
    turned = family.turned(whole, task, units)
    torch.testing.assert_close(family.apply(alone(turned), rows), family.apply(alone(whole), rows))
    back = family.turned(turned, task, -units)
    assert all(torch.equal(back[name], whole[name]) for name in whole)


@every_family
def test_the_window_of_a_small_model_rolls_over_all_units_alike(family, task):
    half = Size(width=0.5)
    hidden = [name for name in family.shapes(task) if name.endswith("bias") and name != "head.bias"]
    units = {name: family.shapes(task)[name][0] for name in hidden}
    rounds, seen = lcm(*units.values()), {name: torch.zeros(n) for name, n in units.items()}
    for number in range(rounds):
        zeros = {name: torch.zeros(shape) for name, shape in family.shapes(task).items()}
        ones = {name: tensor + 1 for name, tensor in family.slice(zeros, task, half).items()}
        window = family.turned(lift(ones, family.turned(zeros, task, number)), task, -number)
        assert all(window[name][number % n] == 1 for name, n in units.items())
        seen = {name: count + window[name] for name, count in seen.items()}
    for name, n in units.items():
        assert seen[name].tolist() == [rounds // n * share(n, 0.5)] * n


@every_size
@every_family
def test_parameters_counts_the_numbers_of_a_model(family, task, size):
    assert family.parameters(task, size) == count(family.slice(model_of(family, task), task, size))


@every_family
def test_a_fresh_model_has_the_shapes_that_the_family_declares(family, task):
    fresh = family.init(task, torch.Generator().manual_seed(0))
    assert {name: tuple(tensor.shape) for name, tensor in fresh.items()} == family.shapes(task)


@every_family
def test_a_fresh_model_is_determined_by_the_generator(family, task):
    first, same, other = (family.init(task, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    weights = [name for name, tensor in first.items() if tensor.dim() > 1]
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in weights)


@every_family
def test_fresh_biases_are_zero(family, task):
    fresh = family.init(task, torch.Generator().manual_seed(0))
    assert all(not tensor.any() for name, tensor in fresh.items() if name.endswith("bias"))


@every_size
@every_family
def test_multiplies_are_those_that_torch_counts(family, task, size):
    part = alone(family.slice(model_of(family, task), task, size))
    with FlopCounterMode(display=False) as counter:
        family.apply(part, rows_of(task, 1, 1))
    assert 2 * family.multiplies(task, size) == counter.get_total_flops()


@pytest.mark.parametrize("times", [10, 40])
@every_family
def test_a_family_is_sized_to_a_number_of_parameters(family, task, times):
    wanted = times * family.parameters(task)
    sized = family.sized_to(task, wanted)
    assert type(sized) is type(family)
    assert sized.parameters(task) == pytest.approx(wanted, rel=0.05)


@every_family
def test_a_family_sized_to_its_own_parameters_keeps_them(family, task):
    assert family.sized_to(task, family.parameters(task)).parameters(task) == family.parameters(task)


def test_a_family_grows_as_far_as_it_must():
    family, task = Mlp(width=12, blocks=0), FLAT
    wanted = 100 * family.parameters(task)
    assert family.sized_to(task, wanted).parameters(task) == pytest.approx(wanted, rel=0.05)


def test_parameters_and_multiplies_of_a_small_mlp():
    family, task = Mlp(width=4, blocks=2), Regression(input_shape=(3,), outputs=2)
    assert family.parameters(task) == (4 * 3 + 4) + 2 * (4 * 4 + 4) + (2 * 4 + 2)
    assert family.multiplies(task) == 4 * 3 + 2 * 4 * 4 + 2 * 4
    assert family.multiplies(task, Size(width=0.5, depth=0.5)) == 2 * 3 + 1 * 2 * 2 + 2 * 2


def test_parameters_and_multiplies_of_a_small_convnet():
    family, task = Convnet(channels=(2, 3), blocks=1), Classification(input_shape=(1, 4, 4), outputs=5)
    stem, stage, block, head = 2 * 1 * 25, 3 * 2 * 9, 3 * 3 * 9, 5 * 3 * 1 * 1
    assert family.parameters(task) == (stem + 2) + (stage + 3) + (block + 3) + (head + 5)
    assert family.multiplies(task) == stem * (2 * 2) + stage * (2 * 2) + block * (1 * 1) + head


def test_a_signal_keeps_its_width_of_one():
    family, task = Convnet(channels=(2,), blocks=0), Classification(input_shape=(2, 8, 1), outputs=3)
    assert family.shapes(task)["stage0.weight"] == (2, 2, 5, 1)
    assert family.shapes(task)["head.weight"] == (3, 2, 4, 1)
    assert family.multiplies(task) == (2 * 2 * 5) * 4 + 3 * 2 * 4


def test_a_convnet_refuses_flat_inputs():
    with pytest.raises(ValueError, match=r"needs inputs \[channels, height, width\], got \[7\]; use model.kind=mlp"):
        Convnet().shapes(FLAT)


@pytest.mark.parametrize(
    ("whole", "kept", "units"),
    [(10, 0.25, 3), (10, 0.3, 3), (3, 0.01, 1), (1, 0.5, 1), (8, 0.5, 4), (7, 1.0, 7), (100, 0.07, 7)],
)
def test_a_share_of_units_is_rounded_up_and_never_empty(whole, kept, units):
    assert share(whole, kept) == units


def test_fresh_weights_have_the_variance_of_he_times_the_gain():
    task = Regression(input_shape=(200,), outputs=300)
    fresh = Mlp(width=400, blocks=1).init(task, torch.Generator().manual_seed(0))
    assert float(fresh["stem.weight"].std()) == pytest.approx(sqrt(2 / 200), rel=0.02)
    assert float(fresh["block0.weight"].std()) == pytest.approx(0.5 * sqrt(2 / 400), rel=0.02)
    assert float(fresh["head.weight"].std()) == pytest.approx(0.5 * sqrt(2 / 400), rel=0.02)


def test_activations_are_the_numbers_that_layers_pass_on():
    assert Mlp(width=4, blocks=2).activations(Regression(input_shape=(3,), outputs=2)) == 3 + 3 * 4 + 2
    image = Classification(input_shape=(1, 8, 8), outputs=3)
    # a stem of 4 x 4 x 2, a stage of 4 x 4 x 3 that is pooled, a block of 2 x 2 x 3
    assert Convnet(channels=(2, 3), blocks=1).activations(image) == 64 + 32 + 48 + 12 + 3


def test_a_working_set_counts_weights_once_and_activations_twice():
    task = Regression(input_shape=(3,), outputs=2)
    family = Mlp(width=4, blocks=0)
    assert family.working_set(task, batch=5) == 4 * (3 * 4 + 4 + 4 * 2 + 2 + 2 * 5 * (3 + 4 + 2))


@every_family
@pytest.mark.parametrize("samples", [0, 1, 2, 5])
def test_models_that_are_asked_the_same_samples_say_what_each_says_of_them_alone(family, task, samples, monkeypatch):
    cache = 4 * 3 * family.activations(task) * 2  # two samples at once
    monkeypatch.setattr("federation.models.family.CACHE", cache)
    models, rows = [model_of(family, task, seed) for seed in range(3)], rows_of(task, samples)
    said = family.asked(stacked(models), rows, task)
    assert not said.requires_grad
    for own, model in zip(said, models, strict=True):
        torch.testing.assert_close(own, family.apply(alone(model), rows[None])[0])


@every_family
def test_the_trunk_is_what_the_head_reads_before_its_last_nonlinearity(family, task):
    model, rows = model_of(family, task), rows_of(task, 1, 5)
    features = family.trunk(alone(model), rows)
    weight = model["head.weight"].flatten(1)
    assert features.shape == (1, 5, weight.shape[1])
    assert bool((features < 0).any())
    shallow = not any(name.startswith("block") for name in model)
    if shallow or not getattr(family, "residual", True):
        outputs = features.relu() @ weight.T + model["head.bias"]
        torch.testing.assert_close(outputs, family.apply(alone(model), rows), rtol=1e-4, atol=1e-4)
