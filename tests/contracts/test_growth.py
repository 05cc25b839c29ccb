"""A family may grow between rounds: every one of `FAMILIES` says the same when it is wider or deeper."""

import pytest
import torch

from federation.models import Convnet, ElasticFamily, Mlp
from federation.models.family import written_out
from federation.models.net2net import deepened, widened
from federation.tensors import shapes, single, stacked
from tests.contracts.test_families import FLAT, IMAGE, every_family, model_of, rows_of

every_factor = pytest.mark.parametrize("factor", [1.0, 1.5, 2.0, 3.3])
every_draw = pytest.mark.parametrize("seed", [None, 0], ids=["equal shares", "uneven shares"])


def drawn(seed: int | None) -> torch.Generator | None:
    return None if seed is None else torch.Generator().manual_seed(seed)


def cohort(family, task) -> dict[str, torch.Tensor]:
    return {name: t.double() for name, t in stacked([model_of(family, task, seed) for seed in (0, 1)]).items()}


def deeper(family: ElasticFamily, more: int) -> ElasticFamily:
    return family.model_copy(update={"blocks": family.blocks + more})


def widen(family, model, task, wider, draw=None) -> dict[str, torch.Tensor]:
    return widened(model, family.shapes(task), wider.shapes(task), draw)


def deepen(family, model, task, deeper) -> dict[str, torch.Tensor]:
    return deepened(model, family.shapes(task), deeper.shapes(task), family.skips)


def gradients(family, model, rows) -> dict[str, torch.Tensor]:
    """Of the sum of all outputs, each with a factor of its own."""
    outputs, vjp = family.vjp(model, rows)
    along = torch.arange(1.0, outputs.shape[2] + 1, dtype=outputs.dtype).expand_as(outputs).contiguous()
    return {name: written_out(gradient) for name, gradient in vjp(along).items()}


@every_draw
@every_factor
@every_family
def test_a_wider_model_says_the_same(family, task, factor, seed):
    wider, models, rows = family.widened(factor), cohort(family, task), rows_of(task, 2, 5).double()
    grown = widen(family, models, task, wider, drawn(seed))
    assert shapes(grown) == {name: (2, *shape) for name, shape in wider.shapes(task).items()}
    torch.testing.assert_close(wider.apply(grown, rows), family.apply(models, rows), rtol=0, atol=1e-10)


@pytest.mark.parametrize("more", [0, 1, 3])
@every_family
def test_a_deeper_model_says_the_same(family, task, more):
    models, rows = cohort(family, task), rows_of(task, 2, 5).double()
    grown = deepen(family, models, task, deeper(family, more))
    assert shapes(grown) == {name: (2, *shape) for name, shape in deeper(family, more).shapes(task).items()}
    torch.testing.assert_close(deeper(family, more).apply(grown, rows), family.apply(models, rows), rtol=0, atol=1e-10)


@every_family
def test_a_model_alone_grows_as_in_a_cohort_and_in_its_own_precision(family, task):
    model, rows, wider = model_of(family, task), rows_of(task, 1, 5), family.widened(2)
    wide = widen(family, model, task, wider)
    grown = deepen(wider, wide, task, deeper(wider, 1))
    assert all(torch.equal(wide[name], t[0]) for name, t in widen(family, single(model), task, wider).items())
    assert all(tensor.dtype == torch.float32 for tensor in grown.values())
    before, after = family.apply(single(model), rows), deeper(wider, 1).apply(single(grown), rows)
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-6 * float(before.abs().max()))


@every_family
def test_growing_touches_no_argument(family, task):
    model = model_of(family, task)
    before = {name: tensor.clone() for name, tensor in model.items()}
    widen(family, model, task, family.widened(2), drawn(0))
    deepen(family, model, task, deeper(family, 1))
    assert all(torch.equal(model[name], tensor) for name, tensor in before.items())


@every_family
def test_copies_with_equal_shares_stay_alike_and_those_with_uneven_ones_do_not(family, task):
    model, rows, wider = model_of(family, task), rows_of(task, 1, 5).double(), family.widened(2)
    first = next(name for name in family.shapes(task) if name.endswith("weight"))
    units = model[first].shape[0]
    for seed, alike in ((None, True), (0, False)):
        grown = {n: t.double() for n, t in single(widen(family, model, task, wider, drawn(seed))).items()}
        along = gradients(wider, grown, rows)[first][0]
        assert torch.allclose(along[:units], along[units:], rtol=1e-6, atol=1e-9) is alike


@every_family
def test_most_units_of_a_new_block_learn_at_once(family, task):
    deep, rows = deeper(family, 1), rows_of(task, 1, 20)
    along = gradients(deep, single(deepen(family, model_of(family, task), task, deep)), rows)
    assert float((along[f"block{family.blocks}.bias"] != 0).float().mean()) > 0.5


def test_a_widened_unit_and_its_copy_halve_what_was_read_of_it():
    family = Mlp(width=2, blocks=0)
    model = {
        "stem.weight": torch.arange(14.0).view(2, 7),
        "stem.bias": torch.tensor([1.0, 2.0]),
        "head.weight": torch.tensor([[4.0, 5.0]] * 3),
        "head.bias": torch.zeros(3),
    }
    grown = widen(family, model, FLAT, Mlp(width=3, blocks=0))
    assert grown["stem.bias"].tolist() == [1, 2, 1]
    assert grown["head.weight"].tolist() == [[2, 5, 2]] * 3


def test_only_a_larger_family_takes_a_model():
    wide, deep = Mlp(width=8, blocks=1), Mlp(width=4, blocks=2)
    with pytest.raises(ValueError, match="the wider family must have the same layers, none of them narrower"):
        widen(wide, model_of(wide, FLAT), FLAT, Mlp(width=7, blocks=1))
    with pytest.raises(ValueError, match="the wider family must have the same layers"):
        widen(wide, model_of(wide, FLAT), FLAT, Mlp(width=8, blocks=2))
    with pytest.raises(ValueError, match="the deeper family must have all layers of this one, of the same shapes"):
        deepen(deep, model_of(deep, FLAT), FLAT, Mlp(width=4, blocks=1))
    with pytest.raises(ValueError, match="of the same shapes"):
        deepen(Convnet(channels=(4,)), model_of(Convnet(channels=(4,)), IMAGE), IMAGE, Convnet(channels=(5,), blocks=2))
