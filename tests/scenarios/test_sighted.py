"""Rivals that see what the world model sees: its head's features, or which region a sample is of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from federation.data.samples import UNKNOWN_CLIENT, Samples
from federation.learning.least_squares import moments, refitted
from federation.manifold import FourierFeatures
from federation.models.cost import Cost
from federation.opening import run_config
from federation.settings import HeadSettings, LocalTraining
from federation.tasks import Regression
from scenarios.baselines import METHODS, Contender, Trial
from scenarios.baselines.afl import RIDGES, HeadFeatures
from scenarios.baselines.central_told import marked
from scenarios.baselines.world import WORLD
from scenarios.runs.engines import HERE
from tests import made
from tests.small import ROUNDS

PLANE = Regression(input_shape=(2,), outputs=1)
FOURIER = FourierFeatures(count=32)
HEAD = HeadSettings(features=FOURIER, hidden=0, ridge=1e-3, rounds=0)


def places(client: int, count: int = 60) -> Samples:
    """Around a place of the client's own; even clients measure a slope upwards, odd ones downwards."""
    points = torch.randn(count, 2, generator=torch.Generator().manual_seed(client))
    return Samples(points + torch.tensor([6.0 * client, 0.0]), points[:, :1] * (1 - 2 * (client % 2)))


def tried(folder: Path, clients: list[Samples], **settings: object) -> Trial:
    """A trial whose world model has been run."""
    file = made.written(folder / "data.npz", clients, [places(9)], PLANE)
    local = LocalTraining(learning_rate=0.05, batch_size=20, epochs=4)
    fields = {"data.path": file, "held_out": 0.2, "local": local.dump(), "head": HEAD.dump(), **settings}
    return finished(Trial(run_config(str(Path(made.__file__)), fields, 0), HERE.fresh, budget=10))


def finished(trial: Trial) -> Trial:
    run = WORLD.finish(trial)
    return replace(trial, world=run, size=run.outcome.world.cost())


def said(trained: Contender, inputs: torch.Tensor) -> torch.Tensor:
    return trained.answer(inputs, np.full(len(inputs), UNKNOWN_CLIENT))


def test_afl_is_the_ridge_regression_of_all_samples_together(tmp_path):
    trial = tried(tmp_path, [places(0), places(1), places(2)])
    trained = METHODS["afl"].run(trial)
    pooled, held_out = (
        Samples.concatenated([getattr(client, part) for client in trial.federation.clients])
        for part in ("train", "held_out")
    )
    empty = {"head.weight": torch.zeros(1, 32), "head.bias": torch.zeros(1)}
    sums = moments(FOURIER.apply(pooled.inputs), pooled.targets, PLANE)
    heads = [refitted(empty, sums, ridge, PLANE) for ridge in RIDGES]
    each = [FOURIER.apply(held_out.inputs) @ head["head.weight"].T + head["head.bias"] for head in heads]
    best = max(each, key=lambda answers: PLANE.score(answers, held_out.targets))
    torch.testing.assert_close(said(trained, held_out.inputs), best, rtol=1e-4, atol=1e-4)


def test_afl_sends_one_sum_a_client_and_counts_its_features(tmp_path):
    trial = tried(tmp_path, [places(0), places(1)])
    trained, made_from = METHODS["afl"].run(trial), trial.finished().traffic
    assert trained.bytes_up == made_from.up + 2 * 8 * (33 * 34 // 2 + 33)
    assert trained.bytes_down == made_from.down
    constants, last = 32 * (2 + 1), 32 + 1
    assert trained.cost == Cost(constants + last, constants + last, 2 * (32 * 2 + last))


def test_a_head_of_hidden_units_gives_afl_these_units():
    world = finished(Trial(run_config("digits", ROUNDS, 0), HERE.fresh)).finished().outcome.world
    read = HeadFeatures(world)
    inputs = torch.randn(5, *world.design.task.input_shape, generator=torch.Generator().manual_seed(0))
    stem = world.encoder(inputs) @ world.head["stem.weight"].T + world.head["stem.bias"]
    torch.testing.assert_close(read(inputs), stem.relu())
    hidden = world.head["stem.weight"].numel() + world.head["stem.bias"].numel()
    assert read.cost.active_parameters == world.encoder.parameters + hidden


@pytest.mark.parametrize("name", ["afl", "central_features"])
def test_where_the_head_has_no_least_squares_for_values_there_are_no_features(name):
    trial = Trial(run_config("piecewise", {}, 0), HERE.fresh)
    assert "head.ridge" in METHODS[name].absent(trial)


@pytest.mark.parametrize("name", ["central_features", "central_told"])
def test_what_a_monolith_sees_counts_among_the_active_parameters_that_it_may_have(name, tmp_path):
    wide = {"model.width": 256, "composition.parts": ["mixture"]}
    trial = tried(tmp_path, [places(k) for k in range(3)], **wide)
    cost = METHODS[name].run(trial).cost
    assert trial.size is not None
    assert cost.active_parameters == pytest.approx(trial.size.active_parameters, rel=0.05)


def test_who_is_told_the_region_adds_a_number_for_each_and_of_images_a_plane():
    rows, region = torch.tensor([[5.0, 6.0], [7.0, 8.0]]), torch.tensor([2, 0])
    assert marked(rows, region, 3).tolist() == [[5, 6, 0, 0, 1], [7, 8, 1, 0, 0]]
    planes = marked(torch.zeros(2, 1, 4, 4), region, 3)
    assert planes.shape == (2, 4, 4, 4)
    assert planes.mean((2, 3)).tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]
