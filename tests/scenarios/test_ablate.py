"""Ablations: what each switches off, where it does not apply, and what a part is worth."""

import json
from pathlib import Path

import pytest
import torch

from federation.opening import open_scenario
from federation.rules import InputError
from scenarios.runs.engines import HERE
from scenarios.runs.experiment import Result
from scenarios.runs.simulate import simulate
from scenarios.studies.ablate import ABLATIONS, ablation, sheet, summarised
from tests.commands import status
from tests.small import ROUNDS, Quiet

TINY = ROUNDS | {"partition.clients": 3, "prior.rounds": 1, "data.limit": 300}
NAMED = {row.name: row for row in ABLATIONS}
WHOLE = {
    "regions.kind": "shared_regions",
    "encoder.features.kind": "random_features",
    "router.rule.top": 2,
    "router.rule.temperature": 0.4,
}
"""Overrides of digits after which it has every part."""

FIELDS = """
import torch
from federation.data.samples import Dataset, Samples
from federation.models import Mlp
from federation.data.partition import Iid
from federation.scenario import Scenario
from federation.tasks import Regression
from server.aggregation import Mean

SCENARIO = Scenario(name="values", title="Values", partition=Iid(clients=2), model=Mlp(width=3), aggregation=Mean())

def load(settings, seed):
    rows = Samples(torch.arange(40.0).reshape(20, 2), torch.arange(20.0).unsqueeze(1))
    return Dataset(task=Regression(input_shape=(2,), outputs=1), train=rows, test=rows)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dotted(fields, prefix=""):
    rows = {}
    for name, value in fields.items():
        rows |= dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return rows


# --- what is switched off --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("experts", {"composition.parts": ["charts", "head", "prior"]}),
        ("charts", {"composition.parts": ["mixture", "head", "prior"]}),
        ("head", {"composition.parts": ["charts", "mixture", "prior"]}),
        ("tuned_residual", {"router.rule.kind": "chart_posterior", "router.rule.hidden": None}),
        ("prior", {"prior.rounds": 0, "experts.rounds": 10}),
        ("covariance", {"charts.covariance": "spherical"}),
        ("shared_regions", {"regions.kind": "private_regions"}),
        ("novelty", {"novelty.quantile": 1.0}),
        ("encoder", {"encoder.features.kind": "flat", "encoder.features.count": None}),
    ],
)
def test_a_part_is_switched_off_and_nothing_else_is_changed(name, changes):
    opened = open_scenario("digits", WHOLE)
    before, after = dotted(opened.scenario.dump()), dotted(NAMED[name].off(opened).dump())
    different = {path: after.get(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert different == changes


def test_every_part_has_a_name_of_its_own_and_one_line_that_says_what_is_there_instead():
    assert len(NAMED) == len(ABLATIONS)
    assert all(row.title and "\n" not in row.title for row in ABLATIONS)


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("shared_regions", {}, "does without it already"),
        ("encoder", {}, "does without it already"),
        ("prior", {"prior.rounds": 0}, "does without it already"),
        ("head", {"composition.parts": ["charts", "mixture"]}, "does without it already"),
        ("experts", {"composition.parts": ["mixture"]}, "composition.parts: Tuple should have at least 1 item"),
        ("tuned_residual", {"router.rule.kind": "uniform"}, "the scenario has no tuned_residual"),
    ],
)
def test_a_part_that_is_not_there_does_not_apply(name, fields, reason):
    with pytest.raises(InputError, match=reason):
        NAMED[name].off(open_scenario("digits", fields))


@pytest.mark.parametrize("name", ["charts", "head"])
def test_real_valued_targets_have_neither_charts_of_labels_nor_a_head(name):
    Path("values.py").write_text(FIELDS, encoding="utf-8")
    with pytest.raises(InputError, match="does without it already"):
        NAMED[name].off(open_scenario("./values.py"))
    assert NAMED["experts"].off(open_scenario("./values.py")).composition.parts == ("charts", "head", "prior")


def test_a_field_of_the_command_line_may_vanish_with_its_part():
    experiment, _ = ablation("digits", {"router.rule.hidden": 8, "local.epochs": 1}, [0], ["tuned_residual"])
    assert experiment.variants["full"] == {"router.rule.hidden": 8, "local.epochs": 1}
    without = experiment.variants["tuned_residual"]
    assert without.keys() == {"router", "local.epochs"}
    assert without["router"]["rule"] == {"kind": "chart_posterior", "top": 3, "temperature": 0.3}


def test_parts_that_do_not_apply_are_left_out_with_the_reason():
    experiment, skipped = ablation("digits", {}, [0, 1], ["head", "encoder"])
    assert list(experiment.variants) == ["full", "head"]
    assert skipped == {"encoder": "the scenario does without it already"}


# --- what a run without a part is ------------------------------------------------------------------------------------


def run_without(name):
    experiment, _ = ablation("digits", TINY, [0], [name])
    return simulate("digits", experiment.variants[name], 0, Quiet(), HERE).run.outcome


@pytest.mark.parametrize(("name", "part"), [("experts", "mixture"), ("charts", "charts"), ("head", "head")])
def test_a_part_that_is_off_has_no_say(name, part):
    design = run_without(name).world.design
    assert part not in design.composition
    assert len(design.composition) == 3


def test_without_experts_a_query_runs_none_and_the_world_holds_none():
    world = run_without("experts").world
    assert world.cost().total_parameters < world.cost({"mixture": 1.0, "charts": 1.0, "head": 1.0}).total_parameters


def test_without_the_tuned_residual_nothing_is_tuned():
    outcome = run_without("tuned_residual")
    assert outcome.world.router == {}
    assert "router" not in [record.phase for record in outcome.history]


def test_without_the_prior_experts_start_afresh_and_get_its_rounds():
    phases = [record.phase for record in run_without("prior").history]
    assert (phases.count("prior"), phases.count("experts")) == (0, 2)


def test_without_covariance_charts_are_spheres():
    atlas = run_without("covariance").world.atlas
    assert atlas.factor.shape[2] == 0
    assert torch.equal(atlas.diagonal, atlas.diagonal[:, :1].expand_as(atlas.diagonal))


def test_without_novelty_the_generalist_never_answers_alone():
    world = run_without("novelty").world
    assert not bool((world.novelty(torch.full((1, 64), 1e6)) > world.design.novelty_threshold).any())


# --- what a part is worth --------------------------------------------------------------------------------------------


def scored(variant, seed, union, local=None):
    return Result(variant, seed, 1.0, {"union": union, "local": local, "held_out": union}, {"charts": 1.0})


def two(seeds, *results):
    experiment, skipped = ablation("digits", {}, seeds, ["head", "encoder"])
    return summarised(experiment, results, skipped)


def test_a_part_is_worth_the_paired_difference_with_its_interval():
    full, head = (0.9, 0.8, 0.7), (0.8, 0.75, 0.6)
    results = [
        scored(name, seed, values[seed]) for seed in range(3) for name, values in (("full", full), ("head", head))
    ]
    result = two(range(3), *results)
    row = result["scores"]["union"]["head"]
    assert row["per_seed"] == [0.8, 0.75, 0.6]
    worth = row["full_minus"]
    assert worth["per_seed"] == pytest.approx([0.1, 0.05, 0.1])
    assert worth["mean"] == pytest.approx(0.25 / 3)
    half = 4.302653 * (1 / 1200) ** 0.5 / 3**0.5  # Student's t of two degrees; variance (2/60^2 + 1/30^2) / 2
    assert worth["ci95"] == pytest.approx([0.25 / 3 - half, 0.25 / 3 + half], rel=1e-5)
    assert result["scores"]["union"]["full"]["full_minus"]["mean"] == 0.0
    assert "local" not in result["scores"]


def test_seeds_on_which_one_of_the_pair_failed_do_not_count():
    lost = Result("head", 1, 1.0, failure="RoundLostError: nobody")
    results = [scored("full", 0, 0.9), scored("head", 0, 0.7), scored("full", 1, 0.1), lost]
    result = two([0, 1], *results)
    worth = result["scores"]["union"]["head"]["full_minus"]
    assert worth == {"mean": pytest.approx(0.2), "ci95": None, "per_seed": [pytest.approx(0.2)]}
    assert result["failed"] == ["head, seed 1: failed, RoundLostError: nobody"]


def test_without_any_full_model_nothing_can_be_said():
    with pytest.raises(
        RuntimeError, match="the full model failed on all seeds; full, seed 0: failed, RoundLostError: x"
    ):
        two([0], Result("full", 0, 1.0, failure="RoundLostError: x"), scored("head", 0, 0.5))


def test_the_table_shows_each_score_with_what_the_part_is_worth_but_not_the_one_that_chose():
    result = two([0], scored("full", 0, 0.9, 0.8), scored("head", 0, 0.85, 0.9))
    shown = sheet(result, "Digits")
    assert [column.name for column in shown.columns] == ["part off", "union", "full minus it", "local", "full minus it"]
    assert shown.rows == [
        ["full", "90.0\u00a0%", "", "80.0\u00a0%", ""],
        ["head", "85.0\u00a0%", "+5.0", "90.0\u00a0%", "\u221210.0"],
    ]
    assert shown.notes == ["encoder: left out, the scenario does without it already"]


# --- the command -----------------------------------------------------------------------------------------------------

SMALL = ["--workers", "0", *(word for field, value in TINY.items() for word in ("--set", f"{field}={value}"))]


def test_the_command_writes_a_folder_prints_json_and_goes_on_where_it_was(capsys):
    command = ["ablate", "digits", "--json", "--seeds", "2", "--parts", "experts", "--out", "run", *SMALL]
    assert status(*command) == 0
    printed = capsys.readouterr().out
    result = json.loads(printed)
    assert printed.count("\n") == 1
    assert list(result["scores"]) == ["union", "local", "held_out", "ece", "seams"]
    assert list(result["scores"]["union"]) == ["full", "experts"]
    assert "mixture" in result["composition"]["full"]
    assert "mixture" not in result["composition"]["experts"]
    assert {file.name for file in Path("run").iterdir()} == {
        "config.json", "trials.jsonl", "ablation.json", "ablation.html",
    }  # fmt: skip
    page = Path("run/ablation.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert "http://" not in page.replace("http://www.w3.org", "")
    trials = Path("run/trials.jsonl").read_text()
    assert status(*command) == 0
    assert capsys.readouterr().out == printed
    assert Path("run/trials.jsonl").read_text() == trials


def test_the_table_on_the_terminal_says_what_was_left_out(capsys):
    assert status("ablate", "digits", "--quiet", "--seeds", "1", "--parts", "head,encoder", *SMALL) == 0
    printed = capsys.readouterr().out
    assert "full minus it" in printed
    assert "head: charts, experts and generalist answer" in printed
    assert "encoder: left out, the scenario does without it already" in printed


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["digits", "--parts", "hed"], "unknown part 'hed'; did you mean 'head'?"),
        (["digits", "--parts", "encoder"], "nothing to ablate; encoder: the scenario does without it already"),
        (["digit"], "unknown scenario 'digit'"),
        (["digits", "--set", "local.epochs=0"], "Input should be greater than or equal to 1, got 0"),
        (["digits", "--out", "."], "output folder . exists already, and holds no ablation"),
        (["digits", "--seeds", "0"], "--seeds"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_line_status_two_and_no_folder(arguments, line, capsys):
    assert status("ablate", *arguments, "--workers", "0") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert line in printed.err
    assert list(Path().iterdir()) == []
