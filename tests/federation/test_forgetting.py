"""A region is taken out of a world model: it is never asked again, and all others stay what they were."""

from dataclasses import replace

import pytest
import torch

from federation.learning.experts import Expert
from federation.manifold import Atlas, Chart, ChartRule
from federation.models import Size
from federation.routing import ChartPosterior, TunedResidual
from federation.rules import InputError
from federation.tensors import single
from federation.world.design import NOTHING_NOVEL
from federation.world.forgetting import without_client, without_regions
from federation.world_model import WorldModel
from tests.federation.test_world_model import CLASSES, FEATURES, LATENT, chart_at, world

CENTRES = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 40.0], [40.0, 40.0]])
GONE = 1


def apart(router=None, **found) -> WorldModel:
    """Four regions far from one another, with a tuned router and experts of their own."""
    model = world(composition={"charts": 0.5, "mixture": 1.0, "head": 1.0, "prior": 0.5}, top=2)
    draw, rule = torch.Generator().manual_seed(1), router or TunedResidual(top=2, hidden=4)
    weights = rule.init(LATENT, 4, draw)
    if weights:
        weights["head.weight"] = 0.01 * torch.randn(4, 4, generator=draw)
        weights["head.bias"] = torch.arange(4.0)
    design = model.design.model_copy(update={"router": rule, "region_of_client": (0, 1, 2, 3), **found})
    atlas = Atlas.of([chart_at(centre) for centre in CENTRES], ChartRule(rank=1))
    return replace(model, design=design, atlas=atlas, router=weights)


def of_region(model, region):
    """Samples that the encoder places in a region."""
    draw = torch.Generator().manual_seed(region)
    latent = CENTRES[region] + 0.2 * torch.randn(12, LATENT, generator=draw)
    origin = model.encoder(torch.zeros(1, FEATURES))
    ways = (model.encoder(torch.eye(FEATURES)) - origin).double()
    return ((latent - origin).double() @ torch.linalg.pinv(ways)).float()


@pytest.mark.parametrize("router", [None, ChartPosterior(top=2)])
def test_the_others_answers_to_their_samples_stay_bit_for_bit(router):
    model = apart(router)
    less = without_regions(model, [GONE])
    for region in (0, 2, 3):
        rows = of_region(model, region)
        assert int(model.route(rows).argmax(1).unique()) == region
        assert torch.equal(less.predict(rows), model.predict(rows))


def test_charts_experts_and_gates_of_the_others_stay_bit_for_bit_under_new_numbers():
    model = apart()
    less = without_regions(model, [GONE])
    for number, region in enumerate((0, 2, 3)):
        mine, before = less.atlas.region == number, model.atlas.region == region
        for name in ("mean", "diagonal", "factor", "log_weight", "label"):
            assert torch.equal(getattr(less.atlas, name)[mine], getattr(model.atlas, name)[before])
        assert less.experts[number] is model.experts[region]
    assert less.router["head.bias"].tolist() == [0.0, 2.0, 3.0]
    assert torch.equal(less.router["head.weight"], model.router["head.weight"][[0, 2, 3]])
    assert torch.equal(less.router["stem.weight"], model.router["stem.weight"])


def test_the_region_is_never_asked_and_nothing_of_it_is_left(tmp_path):
    model = apart()
    poison = {name: torch.full_like(t, torch.nan) for name, t in model.experts[GONE].parameters.items()}
    less = without_regions(replace(model, experts={**model.experts, GONE: Expert(poison)}), [GONE])
    rows = of_region(model, GONE)
    assert less.route(rows).shape == (12, 3)
    assert bool(less.predict(rows).isfinite().all())
    less.save(tmp_path)
    read = WorldModel.load(tmp_path)
    torch.testing.assert_close(read.predict(rows), less.predict(rows))
    assert not any(bool(t.isnan().any()) for t in read.tensors().values())


def test_what_was_known_stays_known_and_what_was_the_region_s_becomes_novel():
    model = apart()
    limit = float(model.novelty(torch.cat([of_region(model, region) for region in range(4)])).max()) + 1
    model = replace(model, design=model.design.model_copy(update={"novelty_threshold": limit}))
    less = without_regions(model, [GONE])
    for region in range(4):
        novel = less.novelty(of_region(model, region)) > less.design.novelty_threshold
        assert bool(novel.all()) == (region == GONE) == bool(novel.any())
    assert without_regions(apart(), [GONE]).design.novelty_threshold == NOTHING_NOVEL


def test_clients_and_sizes_of_the_region_leave_with_it():
    sizes = tuple(Size(width=w) for w in (1.0, 0.25, 0.5, 0.75))
    less = without_regions(apart(region_of_client=(3, 1, 0, 1, 2), sizes=sizes), [GONE]).design
    assert (less.regions, less.region_of_client) == (3, (2, 0, 1))
    assert [size.width for size in less.sizes] == [1.0, 0.5, 0.75]


def test_a_client_with_a_region_of_its_own_is_forgotten_by_it():
    model = apart(region_of_client=(2, 1, 0, 3))
    rows = of_region(model, 0)
    assert torch.equal(without_client(model, 0).predict(rows), without_regions(model, [2]).predict(rows))


def test_a_client_of_a_shared_region_cannot_be_taken_out_of_its_sums():
    with pytest.raises(
        InputError, match="shares region 1 with 0, 3: all are in one sum; .* --region 1, or train again"
    ):
        without_client(apart(region_of_client=(1, 0, 1, 1)), 2)


@pytest.mark.parametrize(
    ("forget", "said"),
    [
        (lambda model: without_regions(model, [4]), "region 4 of a world model of 4"),
        (lambda model: without_client(model, -1), "client -1 of a world model of 4 clients"),
        (lambda model: without_regions(model, range(4)), "no region with a chart would be left"),
    ],
)
def test_what_is_not_there_or_would_leave_nothing_is_refused(forget, said):
    with pytest.raises(InputError, match=said):
        forget(apart())


def test_regions_without_a_chart_do_not_count_as_left():
    charts = [chart_at(CENTRES[0]), *(Chart() for _ in range(3))]
    model = replace(apart(), atlas=Atlas.of(charts, ChartRule(rank=1)))
    with pytest.raises(InputError, match="no region with a chart would be left"):
        without_regions(model, [0])
    assert without_regions(model, [1, 2]).predict(torch.zeros(2, FEATURES)).shape == (2, CLASSES)
    assert single(model.experts[0].apart()[0])
