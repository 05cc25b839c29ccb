"""The gas turbine's data: nothing of the test is known before it."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from federation.rules import InputError
from federation.settings import DataSettings
from scenarios.library.gas_turbine import GAP, HOURS, SCALES, load

FOLDER = Path(os.environ.get("MANIFOLD_DATA", str(Path(__file__).parents[3] / "shared" / "data")))
YEARS, PER_YEAR = (2011, 2012), 4 * 5 * HOURS


@pytest.fixture
def small(tmp_path):
    """Two made-up years in which every value of the test is another than all others."""
    names = [*SCALES, "CO", "NOX"]
    hours = np.arange(len(YEARS) * PER_YEAR, dtype=np.float32)
    x = np.stack([hours + 1 for _ in names], 1)
    np.savez(tmp_path / "gas_turbine.npz", x=x, year=np.repeat(YEARS, PER_YEAR), columns=np.array(names))
    return DataSettings(dir=str(tmp_path))


def hours_of(inputs: torch.Tensor) -> np.ndarray:
    """The hour that each sample was made from."""
    centre, scale = SCALES["AT"]
    return np.rint(inputs[:, 0].double().numpy() * scale + centre - 1).astype(int)


def test_no_hour_within_the_gap_of_a_test_hour_is_trained_on(small):
    data = load(small, seed=0)
    train, test = hours_of(data.train.inputs), hours_of(data.test.inputs)
    apart = np.abs(train[:, None] - test[None]).min(1)
    assert apart.min() == GAP + 1
    assert len(test) == len(YEARS) * 4 * (HOURS - 2 * GAP)


def test_a_client_is_a_quarter_of_a_year_and_its_hours_follow_one_another(small):
    data = load(small, seed=0)
    hours = hours_of(data.train.inputs)
    assert np.array_equal(data.group, hours // (PER_YEAR // 4))
    assert set(data.test_group) == set(data.group) == set(range(8))


def test_whole_pieces_of_time_are_held_out_together(small):
    data = load(small, seed=0)
    piece = hours_of(data.train.inputs) // HOURS
    assert len(set(zip(piece, data.unit, strict=True))) == len(set(piece)) == len(set(data.unit))


def test_no_constant_comes_from_the_samples(small):
    whole, part = load(small, seed=0), load(small.model_copy(update={"limit": 40}), seed=0)
    rows = [int(np.flatnonzero(hours_of(whole.train.inputs) == hour)[0]) for hour in hours_of(part.train.inputs)]
    assert len(rows) == 40
    assert torch.equal(whole.train.inputs[rows], part.train.inputs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": np.array(["AT"] * 11)}, "gas_turbine.npz lacks the columns AP, .*, CO, NOX; it holds AT"),
        ({"x": np.full((40, 11), np.nan, np.float32)}, "gas_turbine.npz: .* values are NaN or infinite"),
    ],
)
def test_a_file_that_is_something_else_is_refused(small, tmp_path, changes, message):
    arrays = dict(np.load(tmp_path / "gas_turbine.npz")) | {"year": np.repeat(YEARS, 20)}
    arrays |= {"x": arrays["x"][:40]} | changes
    np.savez(tmp_path / "gas_turbine.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load(small, seed=0)


def test_the_real_file_is_in_units_of_about_one_deviation():
    if not (FOLDER / "gas_turbine.npz").is_file():
        pytest.skip(f"no gas_turbine.npz in {FOLDER}")
    data = load(DataSettings(dir=str(FOLDER)), seed=0)
    assert (len(data.train), len(data.test), len(set(data.group))) == (29_579, 5_366, 20)
    for values in (data.train.inputs, data.train.targets):
        assert bool((values.mean(0).abs() < 0.3).all())
        assert bool(((values.std(0) > 0.7) & (values.std(0) < 1.3)).all())
