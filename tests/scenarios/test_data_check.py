"""`manifold data check` says what is understood of a table, and names what is suspicious in it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from federation.data.own import Meaning
from federation.data.tables import opened
from scenarios.runs.data_check import understood
from tests.commands import status
from tests.raw import frame, written


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def noise(rows=200):
    """Nothing suspicious: two columns, of which the label follows only in part."""
    draw = np.random.Generator(np.random.PCG64(0))
    a, b = draw.normal(size=(2, rows))
    return pd.DataFrame({"a": a, "b": b, "y": np.where(a + b + draw.normal(size=rows) > 0, "yes", "no")})


def test_an_ordinary_table_is_understood_and_nothing_is_suspicious(capsys):
    written(frame(), Path("mine.csv"))
    told = ("--label", "bought", "--client", "shop", "--ignore", "euro", "--ignore", "kilo")
    assert status("data", "check", "mine.csv", *told, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    columns = {column["name"]: column for column in found["columns"]}
    assert {name: column["kind"] for name, column in columns.items()} == {
        "age": "number", "city": "category", "price": "number", "member": "boolean", "since": "date",
    }  # fmt: skip
    assert {name: column["missing"] for name, column in columns.items()} == {
        "age": 27, "city": 22, "price": 0, "member": 0, "since": 0,
    }  # fmt: skip
    assert columns["since"]["min"].startswith("2020-01-")
    assert found["classes"] == frame()["bought"].value_counts().to_dict()
    assert found["clients"] == frame()["shop"].value_counts().to_dict()
    assert (found["rows"], found["task"], found["problems"], found["suspicious"]) == (240, "classification", [], [])


def test_the_terminal_shows_tables_and_a_line_for_each_suspicion(capsys):
    written(noise().assign(same=7), Path("mine.parquet"))
    assert status("data", "check", "mine.parquet", "--label", "y") == 0
    shown = capsys.readouterr().out
    assert "mine.parquet: 200 rows, classification" in shown
    assert "suspicious: column 'same' is constant; nothing is learned from it" in shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": np.arange(200)}, "column 'id' numbers the rows, as identifiers do; leave it out by --ignore id"),
        ({"same": 1.0}, "column 'same' is constant"),
        ({"name": [f"n{i}" for i in range(200)]}, "column 'name' has a text of its own in nearly each row"),
        ({"none": None}, "column 'none' is empty; it is left out"),
        ({"rare": [1.0, 2.0] + [np.nan] * 198}, "column 'rare' is missing in 198 of 200 rows"),
        ({"leak": 1.0 * (noise()["y"] == "yes") + noise()["a"] / 100}, "column 'leak' alone gives the label away"),
        ({"y": ["rare"] + ["a", "b"] * 99 + ["a"]}, "1 of 3 classes with fewer than 5 rows, such as rare with 1"),
        ({"y": np.arange(200) % 3 + 1}, "classes are numbered 1 to 3; they are counted anew, and none is empty"),
        ({"y": [*noise()["a"][:-1], 1e8]}, "column 'y' has outliers (1), the farthest is 1e+08 in row 200"),
        ({"y": (np.arange(200) % 3).astype(float)}, "the table, column y holds real numbers that are all whole, 3"),
        ({"a": [1.0] * 200, "b": [2.0] * 200}, "198 rows are there more than once"),
    ],
)  # fmt: skip
def test_what_is_suspicious_is_named(change, said):
    found = understood(opened(noise().assign(**change)), Meaning(["y"]))
    assert found.problems == []
    assert any(line.startswith(said) for line in found.suspicious), found.suspicious


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y": np.arange(200) % 50}, "whole numbers, 50 different ones in 200 rows: classes or amounts?"),
        ({"y": [None, *noise()["y"][1:]]}, "column 'y' is missing or NaN in 1 rows, the first is row 1"),
        ({"a": [np.inf, *noise()["a"][1:]]}, "column 'a', row 1 is infinite; leave such cells empty"),
    ],
)
def test_what_a_run_would_refuse_is_a_problem(change, said, capsys):
    written(noise().assign(**change), Path("mine.parquet"))
    assert status("data", "check", "mine.parquet", "--label", "y", "--json") == 2
    [problem] = json.loads(capsys.readouterr().out)["problems"]
    assert said in problem


def test_arrays_are_understood_and_turned_images_are_said(capsys):
    x, y = np.zeros((30, 6, 8, 3), np.uint8), np.arange(30) % 2
    np.savez("mine.npz", x_train=x, y_train=y, group_train=np.repeat(["ann", "bob"], 15))
    assert status("data", "check", "mine.npz", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["classes"] == {"0": 15, "1": 15}
    assert found["clients"] == {"ann": 15, "bob": 15}
    assert found["suspicious"][:2] == [
        "30 images [6, 8, 3], uint8, 0 to 0",
        "images have their channels last; they are turned",
    ]
