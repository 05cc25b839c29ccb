"""What a site sends and learns in each phase, and what is refused of it: as docs/security.md says."""

import re
from pathlib import Path

import pytest
import torch

from federation.models.family import FULL
from federation.opening import open_run, run_config
from federation.phases import named
from federation.phases.world_model import WORLD_MODEL
from federation.wire.contribution import Contribution
from scenarios.baselines import METHODS
from server.advancing import advanced
from server.orders import order
from server.phases import side
from server.phases.contract import Kind
from server.state import world_model
from server.validation import check
from tests.server.test_hostile_sums import SETTINGS, recorded, refusal
from tests.small import ROUNDS

MORE = {
    "experts.readout": {"features": {"kind": "random_features", "count": 8}},
    "experts.coordinates": {"kind": "diagonal"},
    "novelty.spawn_at": None,
    "other_encoders": [{"kind": "principal_components", "dimensions": 8}],
}
MODEL = {"model", "weight", "metric"}
CHART = {"count", "sum", "second"}
SENT = {
    "census": {"samples", "labels"},
    "encoder": {"count", "sum", "second"},
    "charting": CHART,
    **dict.fromkeys(("prior", "experts", "coupling", "head", "router"), MODEL),
    "choice": {"gain", "count"},
    "composition": {"loss", "correct", "count"},
    "novelty": {"count", "composition", "generalist", "calibration", "context"},
    "reach": {"share"},
    "evidence": {"ready"},
    "coordinates": {"products", "targets", "squares"},
    "readout": {"products", "targets", "metric"},
    "selection": {"right", "losses"},
    "least_squares": {"products", "targets", "metric"},
}
"""The kinds of sums of each phase as the page names them; spawn sends charts, too, spawn training models, and
responsibility counts."""


def kind_of(name, sums):
    """What a sum is: of a model, whose tensors are named by its layers, or what its name says."""
    if f"weight/{name}" in sums:
        return "model"
    first, _, rest = name.partition("/")
    return rest.split("/")[0] if first.isdecimal() else first


@pytest.fixture(scope="module")
def run():
    """The rounds of a federation of five clients in which all other phases have something to do."""
    return recorded(SETTINGS | MORE)


def clients():
    return open_run(run_config("digits", SETTINGS, 0)).federation().clients


def replies(run, phase):
    return next(made for now, made in run.made if now.step.phase.name == phase)


def test_each_phase_sends_what_the_page_says_and_nothing_else(run):
    found: dict[str, set[str]] = {}
    for now, made in run.made:
        for reply in made:
            for sums in reply.sums.values():
                found.setdefault(now.step.phase.name, set()).update(kind_of(name, sums) for name in sums)
    assert found == SENT


def test_the_page_has_a_row_for_each_phase():
    page = Path("docs/security.md").read_text(encoding="utf-8")
    rows = page.split("| in the phase |")[1].split("\n\n")[0].splitlines()[2:]
    phases = (row.split("|")[1] for row in rows if "before the first" not in row)  # that one is no phase
    named = {word.strip() for phase in phases for word in re.sub(r"\(.*?\)", "", phase).split(",")}
    assert {name.replace(" ", "_") for name in named} == {phase.name for phase in WORLD_MODEL}


def test_a_census_tells_the_counts_of_the_classes_exactly(run):
    for reply, own in zip(replies(run, "census"), clients(), strict=True):
        counts = torch.bincount(own.train.targets, minlength=10).double()
        assert torch.equal(reply.everywhere()["labels"], counts)
        assert float(reply.everywhere()["samples"]) == len(own.train)


def test_the_encoder_is_told_first_and_second_moments(run):
    for reply, own in zip(replies(run, "encoder"), clients(), strict=True):
        sums, rows = reply.everywhere(), own.train.inputs.flatten(1).double()
        torch.testing.assert_close(sums["0/sum"], rows.sum(0))
        torch.testing.assert_close(sums["0/second"], rows.T @ rows)


def test_evidence_tells_the_number_of_samples(run):
    for reply, own in zip(replies(run, "evidence"), clients(), strict=True):
        assert float(reply.everywhere()["ready"]) == len(own.train)


def test_no_sum_has_a_row_for_each_sample(run):
    of = clients()
    for now, made in run.made:
        for reply in made:
            sizes = {len(of[client].train) for client in reply.clients} | {len(of[c].held_out) for c in reply.clients}
            for sums in reply.sums.values():
                for name, tensor in sums.items():
                    assert not sizes & set(tensor.shape), (now.step, name)


def test_a_site_with_fewer_samples_than_min_count_sends_no_moments_for_the_encoder():
    phases = [named(name)().dump() for name in ("census", "prior", "encoder")]
    few = recorded(SETTINGS | {"charts.min_count": 250, "phases": phases})
    enough = [len(own.train) >= 250 for own in clients()]
    assert set(enough) == {True, False}
    sent = [any(bool(t.any()) for t in reply.everywhere().values()) for reply in replies(few, "encoder")]
    assert sent == enough


def test_a_site_is_told_all_charts_and_the_world_model_holds_them_with_whose_they_are(run):
    now = next(now for now, _ in run.made if now.step.phase.name == "reach")
    told = order(now, Kind(0, FULL)).tensors
    assert any(torch.equal(tensor, now.state.atlas.tensors()["mean"]) for tensor in told.values())
    world = world_model(run.state, now.scenario, now.task)
    assert world.design.region_of_client == (0, 1, 2, 3, 4)
    assert torch.equal(world.atlas.mean, now.state.atlas.mean)


@pytest.mark.parametrize(("rounds", "kept"), [(0, True), (1, False)])
def test_sums_of_the_head_are_in_the_world_model_where_it_is_made_of_nothing_else(rounds, kept):
    run = recorded(SETTINGS | {"head.rounds": rounds, "novelty.spawn_at": None})
    now = run.made[-1][0]
    assert bool(world_model(run.state, now.scenario, now.task).head_sums) == kept


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("scaffold", {"control"}),
        ("ifca", {"metric/left", "metric/joined"}),
        ("fedem", {"metric/left", "metric/joined"}),
        ("ditto", set()),
    ],
)
def test_methods_of_the_literature_send_models_and_what_else_the_page_says(name, more):
    phases = [named("census")().dump(), named(name)(rounds=1).dump()]
    names: set[str] = set()
    for reply in replies(recorded(ROUNDS | {"phases": phases}), name):
        for sums in reply.sums.values():
            model = {n for n in sums if n.startswith("weight/") or f"weight/{n}" in sums}
            names |= {"control" if n.removeprefix("weight/").startswith("control/") else "model" for n in model}
            names |= sums.keys() - model
    assert names - {"metric/loss", "metric/visited", "metric/multiplies"} == {"model"} | more


def test_fedpft_sends_charts_of_classes_with_samples_enough():
    phases = [phase.dump() for phase in METHODS["fedpft"].phases(1)]
    settings = ROUNDS | {"phases": phases, "charts.min_count": 20}
    for reply in replies(recorded(settings), "fedpft"):
        (sums,) = reply.sums.values()
        classes = torch.bincount(clients()[reply.clients[0]].train.targets, minlength=10)
        enough = torch.nonzero(classes >= 20).flatten().tolist()
        parts = {f"{part}/{label}" for part in ("count", "sum", "second") for label in enough}
        assert sums.keys() == parts | {"metric/visited", "metric/multiplies"}
        assert all(float(sums[f"count/{label}"]) == classes[label] for label in enough)


def changed(name, change):
    """One sum of a reply with other numbers."""
    return lambda sums: {n: change(t.clone()) if n == name or n.startswith(f"{name}/") else t for n, t in sums.items()}


def moved(sums):
    """The moments of a chart of one label under no encoder in question."""
    return {f"7{name.removeprefix('0')}" if name.startswith("0/") else name: t for name, t in sums.items()}


REFUSED = [
    ("census", lambda sums: sums | {"extra": torch.zeros(())}, "extra [] was not asked for"),
    ("census", lambda sums: {"labels": sums["labels"]}, "samples of region -1 is nothing"),
    ("census", changed("samples", lambda t: t.long()), "is of torch.int64, expected floating point"),
    ("census", changed("samples", lambda t: t * torch.nan), "NaN or infinity"),
    ("census", changed("samples", lambda t: t * torch.inf), "NaN or infinity"),
    ("census", changed("labels", lambda t: -t), "expected no less than 0"),
    ("prior", changed("weight", lambda t: -t), "holds weights beyond 1e+06"),
    ("prior", changed("stem.weight", lambda t: t * 1e9), "holds weights beyond 1e+06"),
    ("prior", changed("stem.weight", lambda t: t[..., :-1]), "expected"),
    ("prior", changed("weight", lambda t: t * 2), "its model weighs"),
    ("encoder", changed("0/second", lambda t: t.double() * 1e25), "expected no more than 1e+24"),
    ("encoder", changed("0/count", lambda t: -t), "expected no less than 0"),
    ("encoder", changed("0/sum", lambda t: t * 30), "has second moments that no samples have"),
    ("charting", changed("0/count", lambda t: t * 0 + 1), "counts 1 samples, expected"),
    ("charting", changed("0/sum", lambda t: t * 1e3), "has second moments that no samples have"),
    ("charting", changed("0/count", lambda t: t * 1e3), "its census told"),
    ("charting", lambda sums: {n: t for n, t in sums.items() if "/sum/" not in n}, "lacks count, sum or second"),
    ("charting", moved, "is a chart under no encoder in question"),
    ("composition", changed("loss", lambda t: -t), "expected no less than 0"),
    ("composition", changed("correct", lambda t: t * 0 + 1e3), "expected no more than"),
    ("composition", changed("loss", lambda t: t * 0 + 1e4), "expected no more than"),
    ("composition", changed("count", lambda t: t * 1e3), "its census told"),
    ("novelty", changed("count", lambda t: -t), "expected no less than 0"),
    ("novelty", changed("generalist", lambda t: t + 1e6), "expected no more than"),
]


@pytest.mark.parametrize(("phase", "spoil", "said"), REFUSED)
def test_what_the_page_says_is_refused(run, phase, spoil, said):
    now = next(now for now, _ in run.made if now.step.phase.name == phase)
    own = replies(run, phase)[3]
    [(region, sums)] = own.sums.items()
    spoilt = Contribution(own.clients, {region: spoil(dict(sums))})
    cause = refusal(spoilt, now, float(len(clients()[3].train)))
    assert cause.startswith("client 3: ")
    assert said in cause


@pytest.mark.parametrize("phase", ["charting", "experts"])
def test_a_site_has_no_say_in_another_s_chart_or_expert(run, phase):
    now = next(now for now, _ in run.made if now.step.phase.name == phase)
    own = replies(run, phase)[3]
    with pytest.raises(ValueError, match="client 3: sums of region 2, may send them of its own alone"):
        check(Contribution(own.clients, {2: own.sums[3]}), now)


def test_whoever_s_well_formed_sums_break_a_round_is_refused(run, monkeypatch):
    now = next(now for now, _ in run.made if now.step.phase.name == "head")
    phase, made = type(side(now.step.phase)), replies(run, "head")

    def particular(self, now, total):
        if 3 in total.clients:
            raise ArithmeticError("these make no sense together")
        return honest(self, now, total)

    honest, refused = phase.advance, []
    monkeypatch.setattr(phase, "advance", particular)
    assert advanced(now, list(made), refused, samples={}).total.clients == (0, 1, 2, 4)
    assert refused == ["client 3: head round 1 fails with its sums: these make no sense together"]
