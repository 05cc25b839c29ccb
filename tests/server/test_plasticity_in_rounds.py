"""Dormant units are found round by round from sums, and may begin anew."""

import json

import pytest
import torch

from clients.awake import awake
from federation.data.samples import Samples
from federation.learning.plasticity import Plasticity, silent
from federation.models import Convnet, Mlp, Size
from federation.opening import open_run, open_scenario, run_config
from federation.rules import InputError
from federation.tasks import Classification, Task
from federation.tensors import stacked
from federation.wire.contribution import EVERYWHERE
from scenarios.runs.engines import SERIAL
from server.plasticity import dormant
from server.state import Model
from tests.server.test_checkpoint import Everything, assert_same, federated
from tests.small import ROUNDS

FLAT = Classification(input_shape=(5,), outputs=3)
IMAGES = Classification(input_shape=(1, 6, 6), outputs=3)
FAMILIES = {"mlp": (Mlp(width=8, blocks=2), FLAT), "convnet": (Convnet(channels=(4, 4), blocks=1), IMAGES)}
every_family = pytest.mark.parametrize(("family", "task"), FAMILIES.values(), ids=FAMILIES.keys())


def clients_of(task: Task, counts: list[int]) -> list[Samples]:
    draw = torch.Generator().manual_seed(0)
    return [Samples(torch.randn(n, *task.input_shape, generator=draw), torch.zeros(n).long()) for n in counts]


def models_of(family, task: Task, clients: int, size: Size) -> dict[str, torch.Tensor]:
    whole = stacked([family.init(task, torch.Generator().manual_seed(seed)) for seed in range(clients)])
    return family.slice(whole, task, size)


@every_family
def test_what_units_say_is_summed_client_by_client_and_units_beyond_a_slice_are_not_seen(family, task):
    samples, size = clients_of(task, [9, 2, 0]), Size(width=0.5, depth=0.5)
    models = models_of(family, task, 3, size)
    together = awake(models, samples, family, task, round_=1, most=4)
    for number, own in enumerate(samples):
        one = {name: tensor[number : number + 1] for name, tensor in models.items()}
        for name, summed in awake(one, [own], family, task, round_=1, most=4).items():
            torch.testing.assert_close(together[name][number], summed[0])
    rolled = samples[0].inputs[[4, 5, 6, 7]]
    for layer, said in family.hidden({n: t[:1] for n, t in models.items()}, rolled[None]).items():
        each = said[0].flatten(2).mean(2) if said.dim() > 3 else said[0]
        units = each.shape[1]
        torch.testing.assert_close(together[f"awake/{layer}"][0, :units], each.double().sum(0), rtol=1e-5, atol=1e-6)
        assert together[f"seen/{layer}"][0].tolist() == [4.0] * units + [0.0] * (
            len(together[f"seen/{layer}"][0]) - units
        )
    assert not any(bool(tensor[2].any()) for tensor in together.values())
    absent = [layer for layer in together if not bool(together[layer].any())]
    assert all("block" in layer for layer in absent)


def test_samples_roll_on_from_round_to_round_and_begin_again():
    family, task, (own,) = Mlp(width=3, blocks=0), FLAT, clients_of(FLAT, [6])
    model = models_of(family, task, 1, Size())
    first, second, third, fourth = (awake(model, [own], family, task, n, 4)["awake/stem"] for n in range(4))
    torch.testing.assert_close(first + second + third, 2 * awake(model, [own], family, task, 0, 6)["awake/stem"])
    torch.testing.assert_close(fourth, first)


def test_a_unit_is_dormant_at_a_tenth_of_the_average_of_those_that_were_seen():
    said, seen = torch.tensor([[40.0, 1.3, 1.5, 0.0]]), torch.tensor([[10.0, 10.0, 10.0, 0.0]])
    assert silent(said, seen).tolist() == [[False, True, False, False]]  # the average is 1.427
    assert silent(torch.tensor([[40.0, 8.0, 0.0, 0.0]]), seen).tolist() == [[False, False, True, False]]
    assert silent(torch.zeros(1, 4), seen).tolist() == [[True, True, True, False]]


def test_an_expert_s_own_units_are_judged_and_no_others():
    model = Model({"stem.bias": torch.zeros(1, 2), "head.bias": torch.zeros(1, 3)})
    sums = {"metric/awake/stem": torch.tensor([[8.0, 0.1, 9.0]]), "metric/seen/stem": torch.tensor([[4.0, 4.0, 4.0]])}
    gone = {"metric/awake/block0": torch.ones(1, 3), "metric/seen/block0": torch.ones(1, 3)}
    assert {name: units.tolist() for name, units in dormant(sums | gone, model).items()} == {"stem": [[False, True]]}
    assert dormant({}, model) == {}


def test_units_begin_anew_from_a_share_on():
    assert Plasticity(samples=4, renew=0.25).worn(2, 8)
    assert not Plasticity(samples=4, renew=0.25).worn(1, 8)
    assert not Plasticity(samples=4).worn(8, 8)
    assert not Plasticity(samples=4, renew=0.25).worn(0, 0)


MEASURED = ROUNDS | {"experts.rounds": 3, "plasticity.samples": 4, "regions.kind": "shared_regions", "regions.count": 2}
RENEWED = MEASURED | {
    "plasticity.renew": 0.01,
    "sizes.kind": "tiers",
    "sizes.widths": [1.0, 0.5],
    "experts.members": 2,
    "model.width": 48,
}


def test_measuring_changes_nothing_and_tells_each_region_round_by_round():
    unmeasured, without, _ = federated(run_config("digits", MEASURED | {"plasticity.samples": 0}, 0))
    world, rounds, _ = federated(run_config("digits", MEASURED, 0))
    for name, tensor in unmeasured.tensors().items():
        assert torch.equal(world.tensors()[name], tensor)
    assert not any(record.dormant for record in without)
    told = {str(record.phase): set(record.dormant) for record in rounds if record.dormant}
    assert told == {"prior": {EVERYWHERE}, "experts": {0, 1}}
    assert all(0 <= share < 1 for record in rounds for share in record.dormant.values())
    assert json.loads(json.dumps(rounds[-1].dump()))["dormant"] == {}


def test_a_run_whose_units_begin_anew_goes_on_from_any_round_and_is_the_same_on_both_engines(tmp_path):
    config = run_config("digits", RENEWED, 0)
    kept = Everything(tmp_path, open_run(config).scenario)
    undisturbed = world, rounds, _ = federated(config, checkpoints=kept)
    anew = [news for record in rounds for news in record.grown]
    assert anew
    assert all("dormant units of region" in news for news in anew)
    assert not any(record.grown for record in rounds if record.phase != "experts")
    assert all(not record.refused for record in rounds)
    middle = next(number for number, record in enumerate(rounds, 1) if record.grown)
    assert_same(federated(config, resumed=kept.written[middle]), undisturbed)
    other, others, _ = federated(config, SERIAL)
    assert [record.grown for record in others] == [record.grown for record in rounds]
    for name, tensor in world.tensors().items():
        torch.testing.assert_close(other.tensors()[name], tensor, rtol=1e-4, atol=1e-4)


def test_units_that_nobody_looks_for_cannot_begin_anew():
    with pytest.raises(InputError, match=r"plasticity.samples=4"):
        open_scenario("digits", {"plasticity.renew": 0.2})
