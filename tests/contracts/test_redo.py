"""In every one of `FAMILIES` dormant units begin anew without a change of what is said."""

import pytest
import torch

from benchmarks.plasticity_measures import evidence
from federation.models import Mlp
from federation.models.family import written_out
from federation.models.redo import Stream, renewed, streams
from federation.randomness import torch_generator
from federation.tensors import Parameters, single, stacked
from tests.contracts.test_families import FAMILIES, FLAT, every_family, model_of, rows_of

DEAD = 2


def with_dead_units(family, task) -> dict[str, torch.Tensor]:
    """Two clients' models; in the first, one unit of each hidden layer never speaks."""
    models = {name: tensor.clone() for name, tensor in stacked([model_of(family, task, s) for s in (0, 1)]).items()}
    for name in models:
        if name.endswith("bias") and name != "head.bias":
            models[name][0, DEAD] = -1000
    return models


def dormant(models, of=lambda name: True) -> dict[str, torch.Tensor]:
    layers = [name.removesuffix(".bias") for name in models if name.endswith("bias") and name != "head.bias"]
    masks = {layer: torch.zeros(models[f"{layer}.bias"].shape, dtype=torch.bool) for layer in layers}
    for layer in filter(of, layers):
        masks[layer][0, DEAD] = True
    return masks


def anew(family, task, models: Parameters, masks, seed=0) -> dict[str, torch.Tensor]:
    return renewed(family, task, models, masks, torch_generator(seed, "dormant", 3))


@every_family
def test_units_that_never_spoke_begin_anew_and_nobody_hears_it(family, task):
    models, rows = with_dead_units(family, task), rows_of(task, 2, 6)
    new = anew(family, task, models, dormant(models))
    torch.testing.assert_close(family.apply(new, rows), family.apply(models, rows))
    first, *_ = family.hidden(new, rows).values()
    assert bool(first[0, :, DEAD].any())
    assert all(not bool(new[f"{layer}.bias"][0, DEAD].any()) for layer in dormant(models))


@every_family
def test_they_learn_from_the_next_step_on(family, task):
    models, rows = with_dead_units(family, task), rows_of(task, 2, 50)

    def heard(model: Parameters) -> bool:
        outputs, vjp = family.vjp(model, rows)
        return bool(written_out(vjp(torch.ones_like(outputs))["head.weight"])[0, :, DEAD].any())

    assert not heard(models)
    assert heard(anew(family, task, models, dormant(models)))


@every_family
def test_all_else_stays_bit_for_bit(family, task):
    models = with_dead_units(family, task)
    new = anew(family, task, models, dormant(models))
    first = next(iter(dormant(models)))
    for name, tensor in new.items():
        same = tensor == models[name]
        assert bool(same[1].all())
        if not name.startswith("head"):
            same[0, DEAD] = True
        if name.endswith("weight") and not name.startswith(first):
            same[0, :, DEAD] = True
        assert bool(same.all()), name


@every_family
def test_without_dormant_units_nothing_changes(family, task):
    models = with_dead_units(family, task)
    new = anew(family, task, models, dormant(models, of=lambda layer: False))
    assert all(torch.equal(new[name], tensor) for name, tensor in models.items())


@pytest.mark.parametrize("name", ["mlp", "deep mlp", "deep convnet on images"])
def test_a_unit_that_some_layer_still_writes_to_stays(name):
    family, task = FAMILIES[name]
    models = with_dead_units(family, task)
    last = f"block{family.blocks - 1}"
    new = anew(family, task, models, dormant(models, of=lambda layer: layer == last))
    assert all(torch.equal(new[name], tensor) for name, tensor in models.items())


def test_what_is_lost_is_what_the_dormant_unit_said():
    family = Mlp(width=3, blocks=0)
    model, rows = model_of(family, FLAT), rows_of(FLAT, 1, 40)
    model["stem.weight"][1] *= 1e-3
    model["stem.bias"][1] = 1e-3
    models = single(model)
    said = family.hidden(models, rows)["stem"]
    masks = {
        "stem": evidence(family, FLAT, models, rows, torch.zeros(1, 40, dtype=torch.int64)).layers["stem"].dormant()
    }
    assert masks["stem"].tolist() == [[False, True, False]]
    lost = family.apply(models, rows) - family.apply(anew(family, FLAT, models, masks), rows)
    torch.testing.assert_close(lost, said[..., 1:2] * model["head.weight"][:, 1], rtol=1e-3, atol=1e-6)
    assert bool(lost.any())


def test_the_draw_is_addressed():
    family = Mlp(width=6, blocks=0)
    models = with_dead_units(family, FLAT)
    first, again, other = (anew(family, FLAT, models, dormant(models), seed) for seed in (0, 0, 1))
    assert torch.equal(first["stem.weight"], again["stem.weight"])
    assert not torch.equal(first["stem.weight"], other["stem.weight"])


def test_blocks_that_add_share_a_stream_and_others_have_their_own():
    assert streams(["stage0", "stage1", "block0", "block1"], skips=True) == [
        Stream(("stage0",), ("stage1",)),
        Stream(("stage1", "block0", "block1"), ("block0", "block1", "head")),
    ]
    assert streams(["stem", "block0"], skips=False) == [
        Stream(("stem",), ("block0",)),
        Stream(("block0",), ("head",)),
    ]
