"""The world model: how its parts make one answer, what it costs, and that files give back what was saved."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from federation.learning.experts import Expert
from federation.learning.head import Head
from federation.manifold import Atlas, Chart, ChartRule, Encoder, PrincipalComponents
from federation.models import Mlp, Size
from federation.models.cost import Cost
from federation.routing import ChartPosterior, PrototypeRetrieval, TunedResidual
from federation.rules import InputError
from federation.tasks import Classification, Task
from federation.tensors import single, stacked
from federation.world.composition import pooled
from federation.world.confidence import Calibration
from federation.world.context import Context
from federation.world.design import VERSION, Design
from federation.world_model import LEAST_LOGIT, MANIFEST, WEIGHTS, WorldModel

FEATURES, LATENT, CLASSES, REGIONS = 5, 2, 3, 4
ALL_PARTS = {"charts": 0.5, "mixture": 1.0, "head": 1.0, "prior": 0.5}


def world(kind: str = "classification", composition: dict[str, float] | None = None, top: int = 2) -> WorldModel:
    """Four regions, three of them charted, with random experts."""
    draw = torch.Generator().manual_seed(0)
    task = Task.kinds()[kind](input_shape=(FEATURES,), outputs=CLASSES)
    family, router, head = Mlp(width=6, blocks=1), TunedResidual(top=top, hidden=4), Head(hidden=7)
    rows = torch.randn(90, FEATURES, generator=draw)
    rule, charts = PrincipalComponents(dimensions=LATENT), ChartRule(rank=1)
    encoder = Encoder(rule, rule.fit(rule.moments(rows)))
    labels = torch.arange(30) % CLASSES if task.classifies else None
    regions = [Chart.from_sums(charts.sums(encoder(rows[30 * n : 30 * n + 30]), labels)) for n in range(3)]
    latent = Classification(input_shape=(LATENT,), outputs=CLASSES)
    return WorldModel(
        Design(
            task=task,
            family=family,
            encoder=rule,
            router=router,
            head=head,
            chart_temperature=0.3,
            regions=REGIONS,
            region_of_client=(0, 1, 2, 3),
            composition=composition or (ALL_PARTS if task.classifies else {"mixture": 1.0, "prior": 0.5}),
            novelty_threshold=1e30,
        ),
        encoder,
        Atlas.of([*regions, Chart()], charts),
        experts={region: Expert(single(family.init(task, draw))) for region in range(REGIONS)},
        router=router.init(LATENT, REGIONS, draw),
        head=Mlp(width=7, blocks=0).init(latent, draw) if task.classifies else {},
        prior=single(family.init(task, draw)),
    )


def chart_at(centre: torch.Tensor) -> Chart:
    """A chart of thirty samples around a point, a third of them of each class."""
    draw = torch.Generator().manual_seed(int(1000 * centre.abs().sum()))
    rows = centre + 0.2 * torch.randn(30, LATENT, generator=draw)
    return Chart.from_sums(ChartRule(rank=1).sums(rows, torch.arange(30) % CLASSES))


def with_threshold(model: WorldModel, threshold: float) -> WorldModel:
    return replace(model, design=model.design.model_copy(update={"novelty_threshold": threshold}))


QUERIES = torch.randn(40, FEATURES, generator=torch.Generator().manual_seed(9))
FAR = 50 * torch.ones(2, FEATURES)


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["charts", "mixture", "head", "prior"])
def test_every_part_answers_with_probabilities(part):
    answers = world(composition={part: 1.0}).predict(QUERIES)
    assert answers.shape == (40, CLASSES)
    torch.testing.assert_close(answers.sum(1), torch.ones(40))


def test_the_answer_is_the_pool_of_the_parts():
    model = world()
    expected = pooled(model.parts(model.query(QUERIES), tuple(ALL_PARTS)), ALL_PARTS, model.design.task)
    torch.testing.assert_close(model.predict(QUERIES), expected)


def test_the_mixture_is_the_gated_sum_of_the_experts():
    model = world()
    gate, task, family = model.route(QUERIES), model.design.task, model.design.family
    stack = stacked([expert.apart()[0] for expert in model.experts.values()])
    experts = family.apply(stack, QUERIES.expand(REGIONS, *QUERIES.shape)).softmax(-1)
    expected = torch.einsum("sr,rso->so", gate, experts)
    torch.testing.assert_close(model.mixture(QUERIES, model.gates(model.query(QUERIES))), expected)
    assert task.classifies


def test_an_expert_that_is_not_asked_cannot_matter():
    model = world(composition={"mixture": 1.0}, top=1)
    uncharted = Expert({name: torch.full_like(t, torch.nan) for name, t in model.experts[3].parameters.items()})
    broken = {**model.experts, 3: uncharted}
    assert torch.equal(replace(model, experts=broken).predict(QUERIES), model.predict(QUERIES))


def test_parts_that_are_not_used_may_be_empty():
    model = world(composition={"mixture": 1.0, "head": 0.0})
    assert torch.equal(replace(model, head={}).predict(QUERIES), model.predict(QUERIES))


def test_routes_are_the_gates_of_at_most_the_top_regions():
    gate = world(top=2).route(QUERIES)
    torch.testing.assert_close(gate.sum(1), torch.ones(40))
    assert int((gate > 0).sum(1).max()) <= 2


def test_values_are_answered_as_they_are():
    model = world("regression")
    mixture, prior = model.mixture(QUERIES, model.gates(model.query(QUERIES))), model.generalist(QUERIES)
    torch.testing.assert_close(model.predict(QUERIES), (mixture + 0.5 * prior) / 1.5)


def test_novel_queries_are_answered_by_the_generalist():
    model = world(composition={"mixture": 1.0})
    threshold = float(model.novelty(QUERIES).max()) + 1
    guarded = with_threshold(model, threshold)
    mixed = torch.cat([QUERIES, FAR])
    assert bool((model.novelty(FAR) > threshold).all())
    answers = guarded.predict(mixed)
    torch.testing.assert_close(answers[:40], model.predict(QUERIES))
    torch.testing.assert_close(answers[40:], model.generalist(FAR))
    assert not torch.allclose(answers[40:], model.predict(FAR))


def test_a_query_is_answered_alone_as_in_a_batch():
    model = with_threshold(world(), float(world().novelty(QUERIES).median()))
    together = model.predict(QUERIES)
    for row in range(0, 40, 7):
        torch.testing.assert_close(model.predict(QUERIES[row : row + 1])[0], together[row])


def test_arrays_are_answered_like_tensors():
    assert torch.equal(world().predict(QUERIES.numpy()), world().predict(QUERIES))


every_question = pytest.mark.parametrize(
    "question", [WorldModel.predict, WorldModel.novelty, WorldModel.route], ids=lambda q: q.__name__
)


@pytest.mark.parametrize("shape", [(3, FEATURES + 1), (FEATURES,), (3, FEATURES, 1)])
@every_question
def test_queries_of_the_wrong_shape_are_refused(question, shape):
    with pytest.raises(InputError, match=rf"expected \[samples, {FEATURES}\]"):
        question(world(), np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@every_question
def test_queries_that_hold_no_number_are_refused(question, bad):
    rows = np.zeros((3, FEATURES), dtype=np.float32)
    rows[1, :2] = bad
    with pytest.raises(InputError, match="^inputs: 2 values are NaN or infinite; clean the data first$"):
        question(world(), rows)


# --- context and calibration -----------------------------------------------------------------------------------------

GROUPS, PLAIN = torch.arange(40) % 3, Calibration()


def told(model: WorldModel, context: Context, calibration: Calibration = PLAIN) -> WorldModel:
    """A model that knows what to make of context."""
    found = {"context": context, "calibration": calibration, "labels": (0.2, 0.3, 0.5)}
    return replace(model, design=model.design.model_copy(update=found))


USES = [
    Context(router=True),
    Context(prior=4.0),
    Context(router=True, prior=1.0, calibration=Calibration(temperature=2.0, kept=0.3, doubt=0.1)),
]
every_use = pytest.mark.parametrize("use", USES, ids=["router", "classes", "both"])


@every_use
def test_neighbours_change_answers_and_their_numbers_and_order_do_not(use):
    model, order = told(world(), use), torch.randperm(40, generator=torch.Generator().manual_seed(1))
    answers = model.predict(QUERIES, GROUPS)
    assert not torch.allclose(answers, model.predict(QUERIES), atol=1e-3)
    torch.testing.assert_close(answers.sum(1), torch.ones(40))
    assert torch.equal(model.predict(QUERIES, 7 + 100 * GROUPS), answers)
    torch.testing.assert_close(model.predict(QUERIES[order], GROUPS[order].numpy()), answers[order])


@every_use
@pytest.mark.parametrize("context", [torch.full((40,), -1), torch.arange(40)], ids=["unknown", "each its own"])
def test_queries_that_come_alone_are_answered_as_without_context(use, context):
    model = told(world(), use, Calibration(temperature=1.5, doubt=0.1))
    torch.testing.assert_close(model.predict(QUERIES, context), model.predict(QUERIES))


@every_use
def test_a_group_is_answered_as_if_no_other_had_asked(use):
    model = told(world(), use)
    together = model.predict(QUERIES, GROUPS)
    torch.testing.assert_close(model.predict(QUERIES[GROUPS == 1], GROUPS[GROUPS == 1]), together[GROUPS == 1])


def test_context_that_does_not_pay_is_not_used():
    assert torch.equal(world().predict(QUERIES, GROUPS), world().predict(QUERIES))


@pytest.mark.parametrize("context", [np.zeros(39, dtype=np.int64), np.zeros((40, 1), dtype=np.int64), torch.zeros(40)])
def test_context_must_be_a_whole_number_for_each_query(context):
    with pytest.raises(InputError, match="expected a whole number for each of 40 inputs"):
        told(world(), USES[0]).predict(QUERIES, context)


def test_answers_are_calibrated_with_and_without_context():
    calibration = Calibration(temperature=2.0, kept=0.2, doubt=0.1)
    plain, model = world().predict(QUERIES), told(world(), Context(router=True, calibration=calibration), calibration)
    torch.testing.assert_close(model.predict(QUERIES), calibration(plain))
    raw = told(world(), Context(router=True)).predict(QUERIES, GROUPS)
    torch.testing.assert_close(model.predict(QUERIES, GROUPS), calibration(raw))
    assert torch.equal(model.uncalibrated().predict(QUERIES), plain)
    assert torch.equal(model.uncalibrated().predict(QUERIES, GROUPS), raw)


def test_classes_are_inferred_from_each_of_the_answers_that_a_calibration_mixes():
    parts = [Calibration(temperature=2.0), Calibration()]
    cool, plain = (told(world(), Context(prior=4.0, calibration=each)).predict(QUERIES, GROUPS) for each in parts)
    both = told(world(), Context(prior=4.0, calibration=Calibration(temperature=2.0, kept=0.3, doubt=0.1)))
    torch.testing.assert_close(both.predict(QUERIES, GROUPS), 0.6 * cool + 0.3 * plain + 0.1 / 3)


def test_a_label_that_nobody_could_chart_is_to_the_charts_as_likely_as_the_mean_of_all_others():
    whole, absent = world(), 1
    rows = {name: tensor[whole.atlas.label != absent] for name, tensor in whole.atlas.tensors().items()}
    atlas = Atlas.from_tensors(REGIONS, rows)
    assert atlas.without_chart(torch.tensor([2.0, 3.0, 0.0])) == (absent,)
    poorer = replace(whole, atlas=atlas)
    told_so = replace(poorer, design=poorer.design.model_copy(update={"uncharted": (absent,)}))
    before, after = (model.chart_logits(model.query(QUERIES)) for model in (poorer, told_so))
    assert float(before[:, absent].max()) == LEAST_LOGIT
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    torch.testing.assert_close(after[:, absent], after[:, [0, 2]].mean(1))


# --- shortlists ------------------------------------------------------------------------------------------------------


def test_a_world_model_that_asks_few_regions_answers_as_one_that_asks_all():
    model = world()
    many = [chart_at(3 * torch.randn(LATENT, generator=torch.Generator().manual_seed(n))) for n in range(60)]
    experts = {region: model.experts[region % REGIONS] for region in range(60)}
    whole = replace(model, atlas=Atlas.of(many, ChartRule(rank=1)), experts=experts, router={})

    def answers(rule):
        design = whole.design.model_copy(update={"router": rule, "regions": 60})
        return replace(whole, design=design).predict(QUERIES), replace(whole, design=design).route(QUERIES)

    exact, few = answers(ChartPosterior(temperature=1)), answers(PrototypeRetrieval(temperature=1, candidates=30))
    for wanted, found in zip(exact, few, strict=True):
        assert float((wanted - found).abs().sum(1).mean()) < 0.01
    assert few[1].shape == (40, 60)


# --- cost ------------------------------------------------------------------------------------------------------------

EXPERT = (6 * 5 + 6) + (6 * 6 + 6) + (3 * 6 + 3)
MULTIPLIES = 6 * 5 + 6 * 6 + 3 * 6
ENCODER = 5 + 5 * 2  # mean, projection
ATLAS = 9 * (2 + 2 + 2 * 1 + 1)  # three regions of three labels: mean, diagonal, factor of rank one, log weight
ROUTER = (4 * 2 + 4) + (4 * 4 + 4) + 1  # and the temperature
HEAD = (7 * 2 + 7) + (3 * 7 + 3)


@pytest.mark.parametrize(
    ("composition", "shared", "kept", "asked"),
    [
        ({"charts": 1.0}, ENCODER + ATLAS, 1, 0),
        ({"head": 1.0}, ENCODER + ATLAS + HEAD, 1, 0),
        ({"mixture": 1.0}, ENCODER + ATLAS + ROUTER, REGIONS + 1, 2),
        ({"prior": 1.0}, 0, 1, 1),
        (ALL_PARTS, ENCODER + ATLAS + ROUTER + HEAD, REGIONS + 1, 3),
        ({"mixture": 1.0, "head": 0.0}, ENCODER + ATLAS + ROUTER, REGIONS + 1, 2),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_the_cost_counts_the_parts_in_use(composition, shared, kept, asked):
    assert world(composition=composition).cost() == Cost(
        total_parameters=shared + kept * EXPERT,
        active_parameters=shared + asked * EXPERT,
        query_flops=2 * (shared + asked * MULTIPLIES),
    )


def test_the_cost_of_another_composition_can_be_asked():
    assert world().cost({"charts": 1.0}) == world(composition={"charts": 1.0}).cost()


def test_no_more_experts_are_asked_than_there_are():
    assert world(top=99).cost({"mixture": 1.0}).active_parameters == ENCODER + ATLAS + ROUTER + REGIONS * EXPERT


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_loaded_model_answers_exactly_as_the_saved_one(tmp_path, kind):
    model = world(kind)
    model.save(tmp_path)
    # the atlas is kept in float32, so the first model is compared as it travels
    sent = replace(model, atlas=Atlas.from_tensors(REGIONS, model.atlas.tensors()))
    loaded = WorldModel.load(tmp_path)
    assert loaded.design == model.design
    assert torch.equal(loaded.predict(QUERIES), sent.predict(QUERIES))
    assert torch.equal(loaded.route(QUERIES), sent.route(QUERIES))
    assert torch.equal(loaded.novelty(QUERIES), sent.novelty(QUERIES))
    torch.testing.assert_close(loaded.predict(QUERIES), model.predict(QUERIES), rtol=1e-4, atol=1e-5)


def test_a_model_saved_twice_gives_the_same_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    world().save(tmp_path / "one")
    WorldModel.load(tmp_path / "one").save(tmp_path / "two")
    assert load_file(tmp_path / "one" / WEIGHTS).keys() == load_file(tmp_path / "two" / WEIGHTS).keys()
    assert (tmp_path / "one" / MANIFEST).read_text() == (tmp_path / "two" / MANIFEST).read_text()


def test_nothing_but_json_and_safetensors_is_written(tmp_path):
    world().save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([MANIFEST, WEIGHTS])
    assert json.loads((tmp_path / MANIFEST).read_text())["version"] == VERSION
    weights = (tmp_path / WEIGHTS).read_bytes()
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    assert {"experts/0/stem.weight", "atlas/mean", "encoder/projection", "prior/head.bias"} <= header.keys()


def test_the_router_of_another_kind_survives_too(tmp_path):
    model = world(composition={"mixture": 1.0})
    model = replace(model, design=model.design.model_copy(update={"router": ChartPosterior(top=1)}), router={})
    model.save(tmp_path)
    assert WorldModel.load(tmp_path).design.router == ChartPosterior(top=1)


def damaged(folder, change) -> None:
    world().save(folder)
    change(folder)


def no_manifest(folder) -> None:
    (folder / MANIFEST).unlink()


def no_weights(folder) -> None:
    (folder / WEIGHTS).unlink()


def broken_json(folder) -> None:
    (folder / MANIFEST).write_text("{")


def unknown_field(folder) -> None:
    design = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(design | {"surprise": 1}))


def torn_weights(folder) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def garbled_weights(folder) -> None:
    (folder / WEIGHTS).write_bytes(b"no tensors at all")


def other_experts(folder) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file({n: t[:-1] if n.startswith("experts/") else t for n, t in weights.items()}, folder / WEIGHTS)


def no_prior(folder) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file({n: t for n, t in weights.items() if not n.startswith("prior/")}, folder / WEIGHTS)


@pytest.mark.parametrize(
    "change",
    [no_manifest, no_weights, broken_json, unknown_field, torn_weights, garbled_weights, other_experts, no_prior],
    ids=lambda f: f.__name__,
)
def test_a_damaged_folder_is_refused(tmp_path, change):
    damaged(tmp_path, change)
    with pytest.raises(InputError, match="(?s)holds no readable world model .*give the folder of a finished run"):
        WorldModel.load(tmp_path)


def test_what_is_wrong_with_a_folder_is_said_in_one_line(tmp_path):
    damaged(tmp_path, unknown_field)
    with pytest.raises(InputError) as error:
        WorldModel.load(tmp_path)
    assert "\n" not in str(error.value)


def missing_tensor(folder) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["atlas/mean"]
    save_file(tensors, folder / WEIGHTS)


def no_object(folder) -> None:
    (folder / MANIFEST).write_text("[]")


@pytest.mark.parametrize("change", [missing_tensor, no_object], ids=lambda f: f.__name__)
def test_a_folder_that_lacks_a_piece_is_refused(tmp_path, change):
    damaged(tmp_path, change)
    with pytest.raises(InputError):
        WorldModel.load(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no readable world model"):
        WorldModel.load(tmp_path / "nowhere")


def test_a_newer_version_is_refused(tmp_path):
    world().save(tmp_path)
    design = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(design | {"version": VERSION + 1}))
    with pytest.raises(InputError, match=f"its version is {VERSION + 1}, expected {VERSION}"):
        WorldModel.load(tmp_path)


HALF = Size(width=0.5)


def test_a_smaller_world_asks_the_leading_slice_of_each_expert():
    model = world(composition={"mixture": 1.0})
    small, family, task = model.at(HALF), model.design.family, model.design.task
    for region, expert in model.experts.items():
        slice_ = Expert(family.slice(expert.parameters, task, HALF))
        assert torch.equal(small.expert(region, QUERIES), slice_.answers(family, task, QUERIES))
    assert torch.equal(small.route(QUERIES), model.route(QUERIES))
    assert not torch.equal(small.predict(QUERIES), model.predict(QUERIES))


def test_a_world_of_full_size_is_itself():
    model = world()
    assert torch.equal(model.at(Size()).predict(QUERIES), model.predict(QUERIES))
    assert model.at(Size()).cost() == model.cost()


def test_a_smaller_world_costs_what_its_slices_cost():
    model = world(composition={"mixture": 1.0})
    family, task = model.design.family, model.design.task
    saved = family.parameters(task) - family.parameters(task, HALF)
    whole, small = model.cost(), model.at(HALF).cost()
    assert whole.total_parameters - small.total_parameters == (REGIONS + 1) * saved
    assert whole.active_parameters - small.active_parameters == model.design.router.top * saved


def test_a_smaller_world_is_saved_and_loaded(tmp_path):
    small = world().at(HALF)
    small.save(tmp_path)
    torch.testing.assert_close(WorldModel.load(tmp_path).predict(QUERIES), small.predict(QUERIES), rtol=1e-6, atol=1e-7)
