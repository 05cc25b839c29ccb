"""Seams: the samples between regions, by the charts alone."""

from dataclasses import replace

import pytest
import torch

from federation.data.samples import Samples
from federation.manifold import Atlas, Chart, ChartRule, Encoder
from federation.manifold.chart import Moments
from federation.world_model import WorldModel
from scenarios.runs.seams import seam_score, seams
from tests.federation.test_world_model import FEATURES, world


def between() -> WorldModel:
    """Regions with unit Gaussians at -3 and 3 on the first axis, and two without a chart; T = 1."""
    charts = [Chart(), Chart()]
    for place in (-3.0, 3.0):
        mean = torch.tensor([place, 0.0], dtype=torch.float64)
        charts.append(Chart({0: Moments(100.0, 100 * mean, 100 * (torch.eye(2).double() + torch.outer(mean, mean)))}))
    model = world(composition={"charts": 1.0})
    weights = {"mean": torch.zeros(FEATURES), "projection": torch.eye(FEATURES)[:, :2]}
    return replace(
        model,
        design=model.design.model_copy(update={"chart_temperature": 1.0}),
        encoder=Encoder(model.encoder.rule, weights),
        atlas=Atlas.of(charts, ChartRule(rank=1, shrinkage=1e-12)),
    )


def at(*places: float) -> torch.Tensor:
    rows = torch.zeros(len(places), FEATURES)
    rows[:, 0] = torch.tensor(places)
    return rows


def test_samples_halfway_between_two_regions_are_at_a_seam_and_those_at_home_are_not():
    assert seams(between(), at(0.0, -3.0, 3.0, 9.0)).tolist() == [True, False, False, False]


def test_a_seam_ends_where_the_larger_gate_is_the_half_of_one_and_the_root_of_a_half():
    """4 g (1 - g) = 1/2 where g = (1 + sqrt(1/2)) / 2; gates are one-to-one with exp(6 x)."""
    gate = (1 + 0.5**0.5) / 2
    edge = float(torch.tensor(gate / (1 - gate)).log()) / 6
    assert seams(between(), at(0.99 * edge, 1.01 * edge)).tolist() == [True, False]


def test_a_tuned_router_moves_no_seam():
    model = between()
    tuned = {name: tensor + 1 for name, tensor in model.router.items()}
    rows = at(*torch.linspace(-4, 4, 41).tolist())
    assert torch.equal(seams(replace(model, router=tuned), rows), seams(model, rows))


def test_the_score_at_seams_is_that_of_the_samples_there():
    model, rows = between(), at(0.0, 0.1, 3.0)
    right = model.predict(rows).argmax(1)
    wrong = torch.where(torch.tensor([False, True, True]), (right + 1) % 3, right)
    assert seam_score(model, Samples(rows, wrong)) == pytest.approx(0.5)


def test_without_seams_there_is_no_score():
    assert seam_score(between(), Samples(at(-3.0, 3.0), torch.zeros(2, dtype=torch.int64))) is None
