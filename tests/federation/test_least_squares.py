"""A last layer from sums: what least squares gives, whoever holds which samples."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from federation.learning.least_squares import SHARPNESS, moments, refitted, sums_of
from federation.tasks import Classification, Regression
from federation.tensors import shapes
from federation.wire.contribution import EVERYWHERE, Contribution

SAMPLES, UNITS, CLASSES = 60, 4, 3
TASK = Classification(input_shape=(2,), outputs=CLASSES)
TWO, VALUES = TASK.model_copy(update={"outputs": 2}), Regression(input_shape=(2,), outputs=CLASSES)


def head():
    layers = {"stem.weight": torch.ones(UNITS, 2), "stem.bias": torch.ones(UNITS)}
    return layers | {"head.weight": torch.zeros(CLASSES, UNITS), "head.bias": torch.zeros(CLASSES)}


def drawn(seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(SAMPLES, UNITS, generator=draw), torch.randint(CLASSES, (SAMPLES,), generator=draw)


def test_two_samples_of_one_feature_by_hand():
    # z = 1 is of class 0, z = 3 of class 1: the share of class 1 is (1 + (z - 2) / (1 + ridge)) / 2
    sums = moments(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]), TWO)
    assert sums["products"].tolist() == [10, 4, 2]
    assert sums["targets"].tolist() == [[1, 3], [1, 1]]
    fitted = refitted({"head.weight": torch.zeros(2, 1), "head.bias": torch.zeros(2)}, sums, 0.25, TWO)
    torch.testing.assert_close(fitted["head.weight"], SHARPNESS * torch.tensor([[-0.4], [0.4]]))
    torch.testing.assert_close(fitted["head.bias"], SHARPNESS * torch.tensor([1.3, -0.3]))


def test_it_is_ridge_regression_on_standardised_units_without_a_penalty_on_the_bias():
    features, targets = drawn(0)
    features = features * torch.tensor([1.0, 0.2, 3.0, 1.0]) + torch.tensor([0.0, 5.0, 0.0, -1.0])
    fitted = refitted(head(), moments(features, targets, TASK), 0.1, TASK)
    scaler = StandardScaler().fit(features.double())
    classes = torch.nn.functional.one_hot(targets, CLASSES).double()
    expected = Ridge(alpha=0.1 * SAMPLES).fit(scaler.transform(features.double()), classes)
    logits = features @ fitted["head.weight"].T + fitted["head.bias"]
    wanted = SHARPNESS * torch.from_numpy(expected.predict(scaler.transform(features.double())))
    torch.testing.assert_close(logits.double(), wanted, rtol=1e-4, atol=1e-4)


@given(seed=st.integers(0, 100), owners=st.lists(st.integers(0, 4), min_size=SAMPLES, max_size=SAMPLES))
def test_who_holds_which_samples_changes_nothing(seed, owners):
    features, targets = drawn(seed)
    owner = torch.tensor(owners)
    parts = [
        Contribution((client,), {EVERYWHERE: moments(features[owner == client], targets[owner == client], TASK)})
        for client in range(5)
    ]
    together = refitted(head(), moments(features, targets, TASK), 1e-3, TASK)
    apart = refitted(head(), Contribution.total(parts).everywhere(), 1e-3, TASK)
    for name, tensor in together.items():
        torch.testing.assert_close(apart[name], tensor, rtol=1e-5, atol=1e-6)


def test_a_large_ridge_leaves_the_shares_of_the_classes():
    features, targets = drawn(1)
    fitted = refitted(head(), moments(features, targets, TASK), 1e12, TASK)
    shares = torch.bincount(targets, minlength=CLASSES) / SAMPLES
    torch.testing.assert_close(fitted["head.bias"], SHARPNESS * shares)
    assert float(fitted["head.weight"].abs().max()) < 1e-6


def test_features_of_which_none_speaks_and_samples_of_which_there_are_too_few_are_no_trouble():
    features, targets = drawn(2)
    features[:, 1] = 0
    few = refitted(head(), moments(features[:2], targets[:2], TASK), 1e-3, TASK)
    assert all(bool(tensor.isfinite().all()) for tensor in few.values())


@pytest.mark.parametrize(("sums", "ridge"), [({}, 0.1), (moments(*drawn(0), TASK), None)])
def test_without_sums_or_without_a_ridge_nothing_changes(sums, ridge):
    assert all(torch.equal(tensor, head()[name]) for name, tensor in refitted(head(), sums, ridge, TASK).items())


def test_the_layers_below_stay_and_the_shapes_are_those_that_were_announced():
    sums = moments(*drawn(0), TASK)
    fitted = refitted(head(), sums, 0.1, TASK)
    assert shapes(fitted) == shapes(head())
    assert torch.equal(fitted["stem.weight"], head()["stem.weight"])
    assert shapes(sums) == sums_of(head())


def test_values_are_fitted_as_they_are():
    features, _ = drawn(3)
    targets = torch.stack([2 * features[:, 0] + 1, features[:, 1] - 3, features[:, 2]], 1)
    fitted = refitted(head(), moments(features, targets, VALUES), 1e-9, VALUES)
    torch.testing.assert_close(features @ fitted["head.weight"].T + fitted["head.bias"], targets, rtol=1e-5, atol=1e-5)
