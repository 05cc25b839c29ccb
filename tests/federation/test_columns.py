"""Columns of a table as numbers: fitted by sums of any parts, encoded as scikit-learn does, refused in one line."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from federation.data.columns import FARTHEST, MOST_COUNTED, Column, Sums, encode, fitted, merged, summed
from federation.data.tables import as_arrow
from federation.rules import InputError
from tests.raw import frame

INPUTS = ["age", "city", "price", "member", "since"]


def sums(table):
    return summed(table.schema.names, [(batch, None) for batch in table.to_batches()], "mine")


def columns(table):
    return fitted(sums(table), "mine")


numbers = st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1, max_size=30)
words = st.lists(st.one_of(st.none(), st.sampled_from("abcd")), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(values=st.one_of(numbers, words), cuts=st.lists(st.integers(0, 30), max_size=4))
def test_the_sums_of_any_parts_make_those_of_the_whole(values, cuts):
    whole = pa.array(values, pa.string() if any(isinstance(v, str) for v in values) else pa.float64())
    edges = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [{"x": Sums.of("x", whole.slice(start, stop - start), "mine")} for start, stop in pairwise(edges)]
    found, expected = merged(parts)["x"], Sums.of("x", whole, "mine")
    exact = ("kind", "count", "missing", "counts")
    assert [getattr(found, name) for name in exact] == [getattr(expected, name) for name in exact]
    size = max([abs(v) for v in values if isinstance(v, float)], default=0.0)
    assert bool(found.spread) == bool(expected.spread)
    if found.spread and expected.spread:
        assert found.spread.mean == pytest.approx(expected.spread.mean, rel=1e-9, abs=1e-12 * size)
        assert found.spread.squares == pytest.approx(expected.spread.squares, rel=1e-9, abs=1e-12 * size**2)


def test_dates_keep_all_their_digits_however_they_are_cut():
    seconds = pa.array(1.7e9 + np.arange(1000.0))
    found = merged({"t": Sums.of("t", seconds.slice(at, 1), "mine")} for at in range(1000))["t"].column("t")
    assert found.centre == pytest.approx(1.7e9 + 499.5, rel=1e-15)
    assert found.scale == pytest.approx(np.arange(1000.0).std(), rel=1e-9)


def test_columns_are_encoded_as_by_scikit_learn():
    table = frame()[["age", "city", "price"]]
    found = columns(as_arrow(table))
    numeric = make_pipeline(SimpleImputer(add_indicator=False), StandardScaler())
    named = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(categories=[list(found[1].categories)], handle_unknown="ignore", sparse_output=False),
    )
    plain = table.astype({"city": object}).fillna({"city": np.nan})
    theirs = ColumnTransformer([("n", numeric, ["price"]), ("c", named, ["city"])]).fit_transform(plain)
    ours = encode(found, as_arrow(table), "mine")
    np.testing.assert_allclose(ours[:, [6, 2, 3, 4]], theirs, atol=1e-5)
    np.testing.assert_array_equal(ours[:, 1], table["age"].isna())
    np.testing.assert_array_equal(ours[:, 5], table["city"].isna())
    np.testing.assert_array_equal(ours[table["age"].isna(), 0], 0)


def test_kinds_are_told_apart():
    found = {column.name: column for column in columns(as_arrow(frame()[INPUTS]))}
    assert [found[name].kind for name in INPUTS] == ["number", "category", "number", "boolean", "date"]
    assert [found[name].missing for name in INPUTS] == [True, True, False, False, False]
    assert [found[name].width for name in INPUTS] == [2, 4, 1, 1, 1]


def test_a_category_that_training_lacks_is_none_of_them():
    known = Column(name="city", kind="category", categories=("Bern", "Oslo"))
    np.testing.assert_array_equal(encode([known], pa.table({"city": ["Oslo", "Rome"]}), "mine"), [[0, 1], [0, 0]])


def test_a_value_that_training_never_lacked_is_the_mean_or_the_most_frequent():
    known = [
        Column(name="x", kind="number", centre=3.0, scale=2.0),
        Column(name="c", kind="category", categories=("a",)),
    ]
    rows = pa.table({"x": [None, 5.0], "c": pa.array([None, "b"])})
    np.testing.assert_array_equal(encode(known, rows, "mine"), [[0, 1], [1, 0]])


def test_a_wild_number_stays_far_and_finite():
    known = Column(name="x", kind="number", scale=1e-30)
    assert encode([known], pa.table({"x": [1e300, -1e300]}), "mine").tolist() == [[FARTHEST], [-FARTHEST]]


@pytest.mark.parametrize("value", [7, 1e30, 0.0, True])
def test_a_constant_column_is_zero(value):
    table = pa.table({"x": [value] * 50})
    found = columns(table)
    assert found[0].scale == 1.0
    assert encode(found, table, "mine").tolist() == [[0.0]] * 50


def test_names_and_empty_columns_are_left_out():
    table = pa.table({"name": [f"n{i}" for i in range(50)], "none": pa.nulls(50), "x": [1.0, 2.0] * 25})
    assert [column.name for column in columns(table)] == ["x"]


def test_too_many_texts_are_no_categories_however_they_are_cut():
    texts = pa.array([f"n{i % (MOST_COUNTED + 1)}" for i in range(3 * MOST_COUNTED)])
    parts = [{"t": Sums.of("t", texts.slice(at, MOST_COUNTED), "mine")} for at in range(0, len(texts), MOST_COUNTED)]
    assert merged(parts)["t"] == Sums.of("t", texts, "mine")
    assert merged(parts)["t"].column("t") is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"y": [1.0]}, "the column 'x' is missing"),
        ({"x": ["many"]}, "column 'x' holds string, expected a number (Failed to parse string: 'many'"),
        ({"x": [1.0, np.inf]}, "column 'x', row 2 is infinite"),
        ({"x": [[1.0], [2.0]]}, "column 'x' holds list"),
    ],
)
def test_rows_that_cannot_be_encoded_are_refused(rows, said):
    with pytest.raises(InputError) as refused:
        encode([Column(name="x", kind="number")], as_arrow(rows), "mine")
    assert said in str(refused.value)


def test_a_column_of_two_kinds_is_refused():
    with pytest.raises(InputError, match="column 'x' is a number here and a category there"):
        merged([sums(pa.table({"x": [1.0]})), sums(pa.table({"x": ["a"]}))])


def test_a_table_without_anything_to_learn_from_is_refused():
    with pytest.raises(InputError, match="mine: no column but names and empty ones"):
        columns(pa.table({"none": pa.nulls(5)}))
