"""Experts that answer only the classes of their region."""

import pytest
import torch

from federation.learning.experts import Expert, begun, committee, gathered, scattered, specialised
from federation.models import Convnet, Mlp
from federation.tasks import Classification
from federation.tensors import single, stacked

IMAGES = Classification(input_shape=(1, 12, 12), outputs=40)
FAMILIES = [Mlp(width=16, blocks=1), Convnet(channels=(4, 8), blocks=1)]
ROWS = torch.randn(6, 1, 12, 12, generator=torch.Generator().manual_seed(1))
OWN = torch.tensor([3, 4, 17, 39])


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_an_expert_answers_its_own_classes_and_gives_the_others_nothing():
    family = Mlp(width=3, blocks=0)
    own = IMAGES.model_copy(update={"outputs": len(OWN)})
    answers = Expert(single(family.init(own, draw())), OWN).answers(family, IMAGES, ROWS)
    assert answers.shape == (6, 40)
    torch.testing.assert_close(answers.sum(1), torch.ones(6))
    assert set(torch.nonzero(answers.sum(0)).flatten().tolist()) == set(OWN.tolist())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind())
def test_fewer_classes_make_a_wider_expert_of_as_many_parameters(family):
    wider, own = specialised(family, IMAGES, len(OWN))
    whole = family.parameters(IMAGES)
    assert own.outputs == len(OWN)
    assert abs(wider.parameters(own) - whole) < 0.15 * whole
    assert all(new[0] > old[0] for new, old in zip(_units(wider, own), _units(family, IMAGES), strict=True))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind())
def test_all_classes_are_the_family_itself(family):
    assert specialised(family, IMAGES, None) == specialised(family, IMAGES, 40) == (family, IMAGES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind())
def test_an_expert_begins_with_the_answers_of_the_prior_among_its_classes(family):
    prior = single(family.init(IMAGES, draw()))
    begins = Expert(begun(prior, family, IMAGES, OWN, 1, draw()), OWN).answers(family, IMAGES, ROWS)
    of_prior = Expert(prior).answers(family, IMAGES, ROWS)[:, OWN]
    torch.testing.assert_close(begins[:, OWN], of_prior / of_prior.sum(1, keepdim=True), rtol=1e-5, atol=1e-6)


def test_without_own_classes_an_expert_begins_as_the_prior():
    prior = single(FAMILIES[0].init(IMAGES, draw()))
    assert begun(prior, FAMILIES[0], IMAGES, None, 1, draw()) == prior


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind())
def test_a_committee_shares_the_parameters_of_one_model_and_begins_apart(family):
    smaller, own = specialised(family, IMAGES, None, 3)
    committee = Expert(begun(single(family.init(IMAGES, draw())), family, IMAGES, None, 3, draw()))
    assert committee.members == 3
    assert abs(3 * smaller.parameters(own) - family.parameters(IMAGES)) < 0.15 * family.parameters(IMAGES)
    one, other, _ = (Expert(single(member)).answers(smaller, IMAGES, ROWS) for member in committee.apart())
    assert not torch.allclose(one, other)


def test_fewer_classes_make_a_larger_committee():
    family = Convnet(channels=(8, 16, 16), blocks=0)
    images = Classification(input_shape=(1, 28, 28), outputs=82)
    assert [committee(family, images, classes, 8) for classes in (10, 62, None)] == [8, 3, 2]
    assert committee(family, images, 10, 4) == 4
    assert committee(family, images, 10, 1) == 1


def test_the_answer_of_a_committee_is_its_members_mean():
    family = Mlp(width=3, blocks=0)
    committee = Expert(stacked([family.init(IMAGES, torch.Generator().manual_seed(n)) for n in range(2)]))
    one, other = (Expert(single(member)).answers(family, IMAGES, ROWS) for member in committee.apart())
    torch.testing.assert_close(committee.answers(family, IMAGES, ROWS), (one + other) / 2)


def test_experts_travel_by_region_and_name():
    experts = {2: Expert({"w": torch.ones(2)}), 11: Expert({"w": torch.zeros(3)}, torch.tensor([0, 5]))}
    sent = scattered(experts)
    assert sorted(sent) == ["11/classes", "11/w", "2/w"]
    assert scattered(gathered(sent)) == sent


@pytest.mark.parametrize("classes", [[5, 3], [1, 1], [40], [-1, 2]])
def test_classes_that_are_out_of_order_or_unknown_do_not_fit(classes):
    assert not Expert({}, torch.tensor(classes)).fits(IMAGES)


def _units(family, task):
    return [shape for name, shape in family.shapes(task).items() if not name.startswith("head")]
