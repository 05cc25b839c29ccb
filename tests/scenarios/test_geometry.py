"""What reports say of regions and of coverage."""

from dataclasses import replace
from math import log

import pytest

from federation.manifold import Atlas, Chart, ChartRule
from federation.world.novelty import Coverage
from scenarios.reports.geometry import advice, shapes_of
from scenarios.runs.compare import means_of
from server.app import Outcome
from tests.federation.test_regions import ABOVE, LEFT, RIGHT, separated
from tests.federation.test_world_model import world


def outcome(charts: list[Chart], homes: tuple[int, ...], regions: list[Chart]) -> Outcome:
    model = world()
    design = model.design.model_copy(update={"regions": len(regions), "region_of_client": homes})
    atlas = Atlas.of(regions, ChartRule(shrinkage=1e-9))
    return Outcome(replace(model, design=design, atlas=atlas), (), tuple(charts))


@pytest.fixture
def rows():
    """A region of two kinds of clients, two that are the same, and one that nobody charted."""
    charts = separated([LEFT, RIGHT, ABOVE, ABOVE], count=500)
    regions = [charts[0] + charts[1], charts[2], charts[3], Chart()]
    found = outcome([*charts, Chart()], (0, 0, 1, 2, 3), regions)
    return shapes_of(found, found.world.atlas.overlaps(seed=0))


def test_a_row_for_each_region(rows):
    assert [row["clients"] for row in rows] == [2, 1, 1, 1]
    assert rows[0]["entropy"] == pytest.approx(0, abs=0.01)
    assert rows[1]["entropy"] == pytest.approx(log(2), abs=0.01)


def test_the_nearest_region_is_the_one_with_the_largest_share(rows):
    assert [row["nearest"] for row in rows] == [None, 2, 1, None]
    assert rows[1]["overlap"] == pytest.approx(0.5, abs=0.05)
    assert rows[0]["overlap"] is rows[0]["angle"] is None
    assert rows[1]["angle"] == pytest.approx(0, abs=1e-4)  # two directions of two


def test_what_should_be_split_or_merged_is_said(rows):
    assert advice(rows) == [
        "Better described by two Gaussians than by one: region 0.",
        "So alike that they could be one: regions 1 and 2.",
    ]
    assert advice(rows[:1] + rows[3:])[1] == "So alike that they could be one: no two regions."


def test_coverage_is_summarised_over_the_seeds_that_have_a_value():
    found = means_of([Coverage(1.0, 0.9, None, None), Coverage(0.5, 0.8, 0.4, 0.6)])
    assert found["share"]["mean"] == 0.75
    assert found["covered"]["ci95"][0] < 0.85 < found["covered"]["ci95"][1]
    assert found["rest"] == {"mean": 0.4, "ci95": None}
    assert [row["rest_composed"] for row in found["per_seed"]] == [None, 0.6]
    assert means_of([Coverage(1.0, 0.9, None, None)])["rest"] is None
