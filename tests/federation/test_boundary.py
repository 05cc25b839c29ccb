"""Boundary coupling's mathematics: where regions meet, who is a neighbour, and what the neighbours say together."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.manifold import Atlas, Chart, ChartRule
from federation.manifold.chart import Moments
from federation.manifold.coupling import boundary, mixture, neighbours


def line(*places: float) -> Atlas:
    """Regions of 100 samples each, unit Gaussians at places on a line."""
    charts = []
    for place in places:
        mean = torch.tensor([place], dtype=torch.float64)
        charts.append(Chart({0: Moments(100.0, 100 * mean, 100 * (1 + mean.square()).view(1, 1))}))
    return Atlas.of(charts, ChartRule(rank=1, shrinkage=1e-12))


def test_a_sample_is_at_the_boundary_where_a_region_s_gate_is_one_half():
    assert boundary(torch.tensor([0.5, 0.0, 1.0])).tolist() == [1.0, 0.0, 0.0]
    assert float(boundary(torch.tensor(0.25))) == 0.75


@given(st.floats(0, 1))
def test_boundary_weights_are_shares(gate):
    assert 0 <= float(boundary(torch.tensor(gate))) <= 1


def test_neighbours_are_the_regions_that_overlap_most_the_nearest_first():
    overlaps = torch.tensor([[0.6, 0.1, 0.3], [0.2, 0.8, 0.0], [0.3, 0.0005, 0.7]])
    assert neighbours(overlaps, 3) == ((2, 1), (0,), (0,))
    assert neighbours(overlaps, 1) == ((2,), (0,), (0,))


def test_regions_apart_have_no_neighbours():
    assert neighbours(line(0.0, 50.0).overlaps(seed=0), 3) == ((), ())
    assert neighbours(line(0.0, 1.0, 50.0).overlaps(seed=0), 3) == ((1,), (0,), ())


def test_neighbours_speak_in_proportion_to_their_gates():
    beliefs = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert mixture(beliefs, torch.tensor([[1.0, 3.0]]).log())[0].tolist() == pytest.approx([1 / 4, 3 / 4])


def test_the_posterior_of_the_regions_is_even_halfway_between_two_equal_ones():
    posterior = line(-1.0, 1.0).posterior(torch.tensor([[0.0], [1.0]]), temperature=1.0)
    assert posterior[0].tolist() == pytest.approx([0.5, 0.5])
    # log-densities at 1 are -2 and 0 apart from what both share
    assert posterior[1].tolist() == pytest.approx(torch.tensor([-2.0, 0.0]).softmax(0).tolist(), rel=1e-5)
    cooled = line(-1.0, 1.0).posterior(torch.tensor([[1.0]]), temperature=0.5)
    assert cooled[0].tolist() == pytest.approx(torch.tensor([-1.0, 0.0]).softmax(0).tolist(), rel=1e-5)


def test_a_part_of_an_atlas_scores_its_regions_as_the_whole_does():
    atlas, rows = line(-2.0, 0.0, 1.0, 4.0), torch.linspace(-3, 5, 9).unsqueeze(1)
    part = atlas.part((3, 1))
    assert part.regions == 2
    torch.testing.assert_close(part.scores(rows), atlas.scores(rows)[:, [3, 1]])
    sent = Atlas.from_tensors(2, part.tensors())
    torch.testing.assert_close(sent.relative_scores(rows), part.relative_scores(rows), rtol=1e-4, atol=1e-4)


def test_a_region_without_a_chart_stays_one_in_a_part():
    charts = [Chart(), Chart({0: Moments(10.0, torch.zeros(1).double(), 10 * torch.eye(1).double())})]
    part = Atlas.of(charts, ChartRule(rank=1)).part((1, 0))
    assert part.posterior(torch.zeros(1, 1), 1.0).tolist() == [[1.0, 0.0]]
