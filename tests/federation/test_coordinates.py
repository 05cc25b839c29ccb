"""Chart coordinates: how a region's expert looks at its samples, and what a linear map already says of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.seen import seen_by
from federation.data.samples import Samples
from federation.learning.experts import Expert
from federation.manifold.coordinates import CoordinateRule, Coordinates, Diagonal, Whitened
from federation.models import Mlp
from federation.models.activations import ACTIVATIONS
from federation.models.family import ElasticFamily, written_out
from federation.rules import InputError
from federation.tasks import Classification, Regression
from federation.wire.contribution import EVERYWHERE, Contribution

TASK = Regression(input_shape=(3,), outputs=2)
RULES = [kind() for kind in CoordinateRule.kinds().values()]


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def inputs(samples=60, seed=0):
    return torch.randn(samples, 3, generator=draw(seed)) * torch.tensor([1.0, 10.0, 0.1]) + torch.tensor(
        [5.0, 0.0, -2.0]
    )


def affine(rows):
    slopes = torch.tensor([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]])
    return rows @ slopes + torch.tensor([4.0, -1.0])


def fitted(rule, rows, targets, task=TASK):
    sums = rule.sums(rows, targets, task)
    return rule.coordinates(sums, sums, task)


@pytest.mark.parametrize("rule", RULES)
def test_inputs_of_a_region_have_mean_zero_and_deviation_one(rule):
    unbounded = rule.model_copy(update={"floor": 1e-6})
    seen = fitted(unbounded, inputs(), affine(inputs())).inputs(inputs())
    torch.testing.assert_close(seen.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(0, correction=0), torch.ones(3), atol=1e-2, rtol=0)


def test_whitened_inputs_are_uncorrelated():
    rows = inputs() @ torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, 1.0]])
    seen = fitted(Whitened(floor=1e-6), rows, affine(rows)).inputs(rows)
    torch.testing.assert_close(seen.T @ seen / len(seen), torch.eye(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("rule", RULES)
def test_an_affine_world_is_told_by_the_tangent_alone(rule):
    rows = inputs()
    seen = fitted(rule.model_copy(update={"ridge": 1e-12}), rows, affine(rows))
    torch.testing.assert_close(seen.tangent(inputs(seed=1)), affine(inputs(seed=1)), atol=1e-4, rtol=1e-6)


def test_a_quadratic_world_is_told_by_a_tangent_of_degree_two():
    rows = torch.randn(50, 3, generator=draw())
    values = torch.stack([rows[:, 0] * rows[:, 1] + 2, rows[:, 2].square() - rows[:, 0]], 1)
    seen = fitted(Diagonal(degree=2, ridge=1e-12), rows, values)
    assert seen.degree == 2
    torch.testing.assert_close(seen.tangent(rows), values, atol=1e-5, rtol=0)


def test_sums_of_two_clients_give_the_coordinates_of_both_together():
    rows, targets = inputs(), affine(inputs()).sin()
    parts = [Diagonal().sums(rows[p], targets[p], TASK) for p in (slice(0, 10), slice(10, None))]
    total = Contribution.total([Contribution((n,), {EVERYWHERE: sums}) for n, sums in enumerate(parts)]).everywhere()
    together, apart = fitted(Diagonal(), rows, targets), Diagonal().coordinates(total, total, TASK)
    for name, tensor in together.tensors().items():
        torch.testing.assert_close(apart.tensors()[name], tensor)


def test_residuals_have_deviation_one_and_lead_back_to_the_values():
    rows, values = inputs(), affine(inputs()).sin()
    seen = fitted(Diagonal(), rows, values)
    left = seen.residuals(rows, values)
    assert float(left.square().mean()) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(seen.values(rows, left[None])[0], values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", ["one sample", "collinear inputs", "constant targets", "constant inputs"])
def test_degenerate_regions_have_finite_coordinates(rule, case):
    rows, whole = inputs(), inputs(seed=1)
    values = affine(rows).sin()
    if case == "one sample":
        rows, values = rows[:1], values[:1]
    elif case == "collinear inputs":
        rows = rows[:, :1].expand(-1, 3) * 1.0
    elif case == "constant targets":
        values = torch.full_like(values, 7.0)
    else:
        rows = torch.full_like(rows, 7.0)
    all_sums = rule.sums(whole, affine(whole).sin(), TASK)
    seen = rule.coordinates(rule.sums(rows, values, TASK), all_sums, TASK)
    for tensor in (seen.inputs(whole), seen.tangent(rows), seen.residuals(rows, values)):
        assert bool(tensor.isfinite().all())
    torch.testing.assert_close(seen.tangent(rows), values, atol=2.0 if "input" in case else 1e-2, rtol=0)


def test_a_region_without_samples_sees_as_the_federation_does():
    sums = Diagonal().sums(inputs(), affine(inputs()), TASK)
    torch.testing.assert_close(Diagonal().coordinates({}, sums, TASK).centre, inputs().mean(0))


def test_an_expert_answers_in_units_of_the_task_and_survives_the_wire():
    rows, values = inputs(), affine(inputs()).sin()
    family, seen = Mlp(width=4), fitted(Diagonal(), rows, values)
    expert = Expert({n: t[None] for n, t in family.init(TASK, draw()).items()}, None, seen)
    own = family.apply(expert.parameters, seen.inputs(rows)[None])[0]
    torch.testing.assert_close(expert.answers(family, TASK, rows), seen.tangent(rows) + seen.unit * own)
    back = Expert.of(expert.tensors())
    torch.testing.assert_close(back.answers(family, TASK, rows), expert.answers(family, TASK, rows))


def test_models_are_trained_on_what_the_tangent_leaves():
    rows, values = inputs(), affine(inputs())
    seen = fitted(Diagonal(ridge=1e-12), rows, values)
    left = seen_by(Expert({}, None, seen), Samples(rows, values))
    torch.testing.assert_close(left.targets * seen.unit, torch.zeros_like(values), atol=1e-4, rtol=0)
    torch.testing.assert_close(left.inputs, seen.inputs(rows))


def test_classes_have_no_tangent_and_keep_their_targets():
    task, labels = Classification(input_shape=(3,), outputs=4), torch.arange(60) % 4
    seen = fitted(Diagonal(), inputs(), labels, task)
    assert (seen.degree, float(seen.unit)) == (0, 1.0)
    assert torch.equal(seen_by(Expert({}, None, seen), Samples(inputs(), labels)).targets, labels)


@pytest.mark.parametrize("rule", RULES)
def test_a_map_of_the_inputs_folds_into_the_first_layer(rule):
    """So coordinates change nothing of what an mlp can say, and a model may be asked in either."""
    rows, family = inputs(), Mlp(width=5, activation="tanh")
    model = {n: t[None] for n, t in family.init(TASK, draw()).items()}
    seen = fitted(rule, rows, affine(rows).sin())
    moved = family.composed(model, *seen.inverse)
    torch.testing.assert_close(
        family.apply(moved, seen.inputs(rows)[None]), family.apply(model, rows[None]), atol=1e-4, rtol=1e-4
    )


def test_a_family_without_such_a_layer_says_so():
    with pytest.raises(InputError, match="takes no coordinates"):
        ElasticFamily.composed(Mlp(), {}, torch.eye(3), torch.zeros(3))


def test_coordinates_of_another_shape_are_refused():
    seen = fitted(Diagonal(), inputs(), affine(inputs()))
    seen.check(3, 2)
    with pytest.raises(ValueError, match="coordinates"):
        seen.check(4, 2)
    bad = Coordinates(seen.centre, seen.ways, seen.slope, seen.level, torch.tensor(-1.0))
    with pytest.raises(ValueError, match="coordinates"):
        bad.check(3, 2)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("residual", [True, False])
def test_gradients_through_each_activation_are_those_of_autograd(activation, residual):
    family, rows = (
        Mlp(width=6, blocks=2, residual=residual, activation=activation),
        torch.randn(2, 7, 3, generator=draw()),
    )
    model = {n: torch.stack([t, 0.5 * t]) for n, t in family.init(TASK, draw()).items()}
    outputs, vjp = family.vjp(model, rows)
    expected, by_autograd = ElasticFamily.vjp(family, model, rows)
    torch.testing.assert_close(outputs, expected)
    found, wanted = vjp(torch.ones_like(outputs)), by_autograd(torch.ones_like(outputs))
    for name in model:
        torch.testing.assert_close(written_out(found[name]), wanted[name], atol=1e-5, rtol=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.1, 10), st.integers(0, 100))
def test_beliefs_in_another_unit_keep_their_divergence(unit, seed):
    """KL is the same in all units, so that neighbours are coupled as they were."""
    rows = torch.randn(5, 2, generator=draw(seed))
    level, other = torch.randn(5, 2, generator=draw(seed + 1)), torch.randn(5, 2, generator=draw(seed + 2))
    beliefs = TASK.beliefs(other, 0.5)
    plain, _ = TASK.divergences(rows, beliefs, 0.3)
    moved, _ = TASK.divergences((rows - level) / unit, TASK.relative(beliefs, level, unit), 0.3 / unit**2)
    torch.testing.assert_close(moved, plain, atol=1e-3, rtol=1e-3)
