"""Readouts: experts that are nothing but a last layer on fixed features."""

import pytest
import torch

from federation.learning.experts import Expert
from federation.learning.readout import Readout
from federation.manifold.features import Flat, GaborEnergies, RandomFeatures
from federation.models import Convnet, Mlp, Size
from federation.rules import InputError
from federation.tasks import Classification

IMAGES = Classification(input_shape=(1, 12, 12), outputs=5)
FLAT = Classification(input_shape=(4,), outputs=3)


def test_a_readout_is_its_features_times_its_weights():
    features = RandomFeatures(count=6)
    rows, weight = torch.randn(7, 4), torch.randn(2, 3, 6)
    said = Readout(features=features).asked({"head.weight": weight, "head.bias": torch.ones(2, 3)}, rows, FLAT)
    torch.testing.assert_close(said[1], features.apply(rows) @ weight[1].T + 1)


@pytest.mark.parametrize("classes", [None, 1, 2, 5])
@pytest.mark.parametrize("features", [GaborEnergies(side=4, cells=2), RandomFeatures()], ids=lambda f: f.kind)
def test_it_has_as_many_parameters_as_a_model_of_the_family_and_no_more(features, classes):
    family = Convnet(channels=(4, 6, 6), blocks=0)
    most = family.parameters(IMAGES)
    readout, own = Readout.like(family, IMAGES, features, classes)
    assert own.outputs == (classes or 5)
    another = own.outputs * 2 * 2**2 + 4**2 if isinstance(features, GaborEnergies) else own.outputs
    assert most - another < readout.parameters(own) <= most


def test_gabor_filters_count_among_parameters_and_multiplies():
    readout = Readout(features=GaborEnergies(filters=3, side=4, cells=2))
    assert readout.shapes(IMAGES) == {"head.weight": (5, 24), "head.bias": (5,)}
    assert readout.parameters(IMAGES) == 3 * 16 + 5 * 24 + 5
    assert readout.multiplies(IMAGES) == 3 * 16 * 13 * 13 + 5 * 24


def test_features_whose_number_the_input_gives_cannot_be_sized():
    with pytest.raises(InputError, match="flat are as many as their input makes; take gabor_energies"):
        Readout.like(Mlp(width=8), FLAT, Flat(), None)


def test_an_expert_of_some_classes_that_is_a_readout_answers_these_alone():
    family, features = Mlp(width=8), RandomFeatures()
    readout, own = Readout.like(family, FLAT, features, 2)
    parameters = {name: torch.randn(1, *shape) for name, shape in readout.shapes(own).items()}
    expert, rows = Expert(parameters, torch.tensor([0, 2])), torch.randn(6, 4)
    answers = expert.answers(family, FLAT, rows, features)
    assert answers[:, 1].tolist() == [0.0] * 6
    torch.testing.assert_close(answers[:, [0, 2]], readout.asked(parameters, rows, own)[0].softmax(-1))
    assert expert.kind(family, FLAT, features) == (readout, own)
    assert readout.slice(parameters, own, Size(width=0.5)) == parameters


def test_an_expert_with_hidden_units_is_a_model_of_the_family_whatever_readouts_read():
    family = Mlp(width=8, blocks=0)
    model = {name: t[None] for name, t in family.init(FLAT, torch.Generator().manual_seed(0)).items()}
    assert Expert(model).kind(family, FLAT, RandomFeatures()) == (family, FLAT)
