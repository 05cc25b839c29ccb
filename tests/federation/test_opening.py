"""Finding, overriding and opening a scenario: whatever is wrong is said in one line."""

import json

import pytest

from federation.data.partition import Dirichlet, Iid
from federation.manifold import GaborEnergies, PooledPixels, PrincipalComponents, SharedRegions
from federation.models import Convnet, Mlp
from federation.opening import open_run, open_scenario, override, run_config, scenario_names
from federation.routing import ChartPosterior, RoutingRule
from federation.rules import InputError
from federation.scenario import Scenario
from server.aggregation import Mean, Momentum

SCENARIO = Scenario(
    name="small",
    title="A small one",
    partition=Dirichlet(clients=5, alpha=0.5),
    model=Mlp(width=8, blocks=2),
    aggregation=Mean(),
)

FILE = """
import torch
from federation.data.samples import Dataset, Samples
from federation.models import Mlp
from federation.data.partition import Iid
from federation.scenario import Scenario
from federation.tasks import Classification
from server.aggregation import Mean

SCENARIO = Scenario(name="mine", title="Mine", partition=Iid(clients=4), model=Mlp(width=3), aggregation=Mean())

def load(settings, seed):
    rows = Samples(torch.arange(40.0).reshape(20, 2), torch.arange(20) % 2)
    return Dataset(task=Classification(input_shape=(2,), outputs=2), train=rows, test=rows)
"""


# --- overriding ------------------------------------------------------------------------------------------------------


def test_without_overrides_a_scenario_stays_as_it_is():
    assert override(SCENARIO, {}) == SCENARIO


def test_a_scenario_survives_json():
    assert Scenario.model_validate_json(json.dumps(SCENARIO.dump())) == SCENARIO


def test_dotted_fields_reach_into_groups():
    changed = override(SCENARIO, {"seed": 3, "local.learning_rate": 0.05, "router.local.epochs": 4, "model.width": 16})
    assert (changed.seed, changed.local.learning_rate, changed.router.local.epochs) == (3, 0.05, 4)
    assert changed.model == Mlp(width=16, blocks=2)
    assert changed.partition == SCENARIO.partition


def test_overriding_does_not_touch_the_scenario():
    before = SCENARIO.dump()
    override(SCENARIO, {"model.width": 16, "partition.kind": "iid"})
    assert SCENARIO.dump() == before


@pytest.mark.parametrize(
    ("path", "kind", "field", "expected"),
    [
        ("partition.kind", "iid", "partition", Iid()),
        ("model.kind", "convnet", "model", Convnet()),
        ("aggregation.kind", "momentum", "aggregation", Momentum()),
        ("regions.kind", "shared_regions", "regions", SharedRegions()),
    ],
)
def test_another_kind_starts_from_its_own_defaults(path, kind, field, expected):
    assert getattr(override(SCENARIO, {path: kind}), field) == expected


def test_a_kind_with_a_field_that_must_be_set_says_so():
    with pytest.raises(InputError, match="availability.path: Input should be a valid string"):
        override(SCENARIO, {"availability.kind": "traces"})


def test_the_same_kind_keeps_its_fields():
    assert override(SCENARIO, {"partition.kind": "dirichlet"}).partition == SCENARIO.partition


def test_fields_of_another_kind_may_come_in_any_order():
    fields = {
        "partition.clients": 7,
        "partition.kind": "iid",
        "router.rule.temperature": 0.7,
        "router.rule.kind": "chart_posterior",
    }
    for overrides in (fields, dict(reversed(fields.items()))):
        changed = override(SCENARIO, overrides)
        assert changed.partition == Iid(clients=7)
        assert changed.router.rule == ChartPosterior(temperature=0.7)


def test_rules_inside_rules_can_be_replaced():
    changed = override(SCENARIO, {"encoder.features.kind": "pooled_pixels", "encoder.features.pool": 4})
    assert changed.encoder == PrincipalComponents(features=PooledPixels(pool=4))


def test_lists_are_read_as_tuples():
    changed = override(
        SCENARIO, {"composition.weights": [0.25, 1.0], "model.kind": "convnet", "model.channels": [4, 8]}
    )
    assert changed.composition.weights == (0.25, 1.0)
    assert changed.model == Convnet(channels=(4, 8))


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("sead", "did you mean 'seed'"),
        ("local.learning_rat", "did you mean 'learning_rate'"),
        ("locale.learning_rate", "did you mean 'local'"),
        ("partition.alpa", "did you mean 'alpha'"),
        ("model.channels", "known: activation, blocks, kind, residual, width"),
    ],
)
def test_an_unknown_key_names_the_nearest_one(path, hint):
    with pytest.raises(InputError) as error:
        override(SCENARIO, {path: 1})
    assert repr(path) in str(error.value)
    assert hint in str(error.value)
    assert "\n" not in str(error.value)


def test_a_field_is_no_group():
    with pytest.raises(InputError, match="unknown key 'seed.x': 'seed' is no group of settings"):
        override(SCENARIO, {"seed.x": 1})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("local.learning_rate", "fast", r"local.learning_rate: Input should be a valid number, got 'fast'"),
        ("local.epochs", 1.5, r"local.epochs: Input should be a valid integer, got 1.5"),
        ("local.learning_rate", 0, r"local.learning_rate: Input should be greater than 0, got 0"),
        ("held_out", 1.0, r"held_out: Input should be less than 1, got 1.0"),
        ("local.schedule", "linear", r"local.schedule: Input should be 'constant' or 'cosine', got 'linear'"),
        ("coupling.rounds", -1, r"coupling.rounds: Input should be greater than or equal to 0, got -1"),
        ("coupling.strength", -0.1, r"coupling.strength: Input should be greater than or equal to 0, got -0.1"),
        ("coupling.neighbours", 0, r"coupling.neighbours: Input should be greater than or equal to 1, got 0"),
        ("coupling.warm_up", 1.5, r"coupling.warm_up: Input should be less than or equal to 1, got 1.5"),
        ("model.width", 0, r"model.width: Input should be greater than or equal to 1, got 0"),
        ("model.width", True, r"model.width: Input should be a valid integer, got True"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused(path, value, message):
    with pytest.raises(InputError, match=message):
        override(SCENARIO, {path: value})


@pytest.mark.parametrize(("kind", "hint"), [("dirichlett", "did you mean 'dirichlet'"), ("uniform", "known: ")])
def test_an_unknown_kind_or_one_of_another_family_is_refused(kind, hint):
    with pytest.raises(InputError, match=f"partition: .*unknown kind '{kind}'; {hint}"):
        override(SCENARIO, {"partition.kind": kind})


def test_a_rule_that_is_left_out_is_reached_by_its_kind():
    changed = override(SCENARIO, {"head.features.filters": 32, "head.features.kind": "gabor_energies"})
    assert changed.head.features == GaborEnergies(filters=32)
    with pytest.raises(InputError, match="'features' is no group of settings"):
        override(SCENARIO, {"head.features.filters": 32})
    with pytest.raises(InputError, match="'readout' is no group of settings"):
        override(SCENARIO, {"experts.readout.features.kind": "gabor_energies"})


# --- opening ---------------------------------------------------------------------------------------------------------


def test_scenarios_are_the_modules_that_define_one():
    names = scenario_names()
    assert "digits" in names
    assert not {"cli", "compare", "experiment", "__init__"} & set(names)


def test_every_scenario_opens_under_the_name_of_its_module():
    for name in scenario_names():
        assert open_scenario(name).scenario.name == name


def test_an_unknown_scenario_names_the_nearest_one():
    with pytest.raises(InputError, match="unknown scenario 'digit'; did you mean 'digits'"):
        open_scenario("digit")


def test_a_scenario_opens_from_the_path_of_its_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    opened = open_scenario(str(file), {"partition.clients": 5, "held_out": 0.25})
    assert opened.scenario.partition == Iid(clients=5)
    assert [(len(c.train), len(c.held_out)) for c in opened.federation().clients] == [(3, 1)] * 5


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no scenario file .*gone.py; give the path of an existing Python file"):
        open_scenario(str(tmp_path / "gone.py"))


def test_a_file_that_fails_says_why(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("1 / 0")
    with pytest.raises(InputError, match=r"broken.py cannot be imported: ZeroDivisionError: division by zero"):
        open_scenario(str(file))


@pytest.mark.parametrize("text", ["load = print", FILE.split("def load")[0], FILE + "\nSCENARIO = 3\n"])
def test_a_file_must_define_a_scenario_and_its_data(tmp_path, text):
    file = tmp_path / "half.py"
    file.write_text(text)
    with pytest.raises(InputError, match=r"half.py is no scenario; it must define SCENARIO \(a Scenario\) and load"):
        open_scenario(str(file))


def test_a_run_configuration_opens_the_scenario_that_it_names():
    opened = open_run(run_config("digits", {"local.epochs": 3}, seed=7))
    assert opened.scenario == override(open_scenario("digits").scenario, {"local.epochs": 3, "seed": 7})


def test_the_same_run_configuration_is_opened_once():
    config = run_config("digits", {"local.epochs": 3, "held_out": 0.2}, seed=7)
    same = run_config("digits", {"held_out": 0.2, "local.epochs": 3}, seed=7)
    assert open_run(config) is open_run(same)
    assert open_run(config) is not open_run(run_config("digits", {}, seed=7))


def test_data_are_loaded_once():
    opened = open_run(
        run_config("digits", {"data.limit": 100, "partition.clients": 2, "partition.kind": "iid"}, seed=0)
    )
    assert opened.federation() is opened.federation()


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("local.mirrored", r"local.mirrored: inputs are \[64\], no \[channels, height, width\]"),
        ("head.local.mirrored", "head.local.mirrored: a head is trained on codes"),
        ("router.local.mirrored", "router.local.mirrored: a router is trained on codes"),
    ],
)
def test_what_is_no_image_is_not_mirrored(field, said):
    opened = open_run(run_config("digits", {field: True}, seed=0))
    with pytest.raises(InputError, match=said):
        opened.federation()


def test_a_rule_of_one_s_own_hides_no_rule_of_another_kind():
    class Tiers(RoutingRule):  # named as a size rule is
        def logits(self, weights, latent, scores):
            return scores

    chosen = override(open_scenario("digits").scenario, {"sizes.kind": "tiers", "sizes.widths": [0.5, 1.0]})
    assert type(chosen.sizes).__module__ == "federation.models.sizes.tiers"
    assert type(override(chosen, {"router.rule.kind": "tiers"}).router.rule) is Tiers
