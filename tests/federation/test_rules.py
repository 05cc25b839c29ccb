"""Configuration values: strict, frozen, and each rule named by its class."""

from abc import abstractmethod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from federation.data.partition import Dirichlet, Iid, PartitionRule
from federation.rules import Frozen, Rule, Several, nearest


class Dish(Rule):
    """A family of rules of these tests' own."""

    salt: float = Field(default=1.0, ge=0)

    @abstractmethod
    def cook(self) -> str:
        """What comes of it."""


class FishSoup(Dish):
    fish: int = Field(default=2, ge=1)

    def cook(self) -> str:
        return f"{self.fish} fish"


class RoastB2B(Dish):
    def cook(self) -> str:
        return "roast"


class SpicyFishSoup(FishSoup):
    pepper: Several[int] = (1,)


class Menu(Frozen):
    main: Dish = RoastB2B()
    courses: Several[int] = (3,)


DISHES = st.one_of(
    st.builds(FishSoup, salt=st.floats(0, 9), fish=st.integers(1, 9)),
    st.builds(RoastB2B, salt=st.floats(0, 9)),
    st.builds(SpicyFishSoup, pepper=st.lists(st.integers(0, 9), max_size=3).map(tuple)),
)


@pytest.mark.parametrize(
    ("rule", "kind"), [(FishSoup, "fish_soup"), (Dish, "dish"), (RoastB2B, "roast_b2_b"), (Iid, "iid")]
)
def test_the_kind_of_a_rule_is_its_class_in_snake_case(rule, kind):
    assert rule.kind() == kind


def test_a_rule_with_its_defaults_may_be_written_as_its_kind():
    assert Dish.model_validate("fish_soup") == FishSoup()


def test_kinds_are_the_concrete_methods_of_a_family():
    assert Dish.kinds() == {"fish_soup": FishSoup, "roast_b2_b": RoastB2B, "spicy_fish_soup": SpicyFishSoup}
    assert FishSoup.kinds() == {"fish_soup": FishSoup, "spicy_fish_soup": SpicyFishSoup}
    assert Dish.kinds().items() <= Rule.kinds().items()


@given(DISHES, st.lists(st.integers(0, 9), max_size=3))
def test_a_value_survives_json(dish, courses):
    menu = Menu(main=dish, courses=courses)
    again = Menu.model_validate_json(menu.model_dump_json(serialize_as_any=True))
    assert again == menu
    assert type(again.main) is type(dish)


@given(DISHES)
def test_a_dump_names_the_kind_and_validates_to_the_same_value(dish):
    plain = dish.dump()
    assert plain["kind"] == dish.kind()
    assert Dish.model_validate_json(dish.model_dump_json()) == dish
    assert type(dish).model_validate(plain) == dish


def test_a_dictionary_chooses_its_method_by_kind():
    assert Menu.model_validate({"main": {"kind": "fish_soup", "fish": 5}}).main == FishSoup(fish=5)
    assert FishSoup.model_validate({"fish": 3}) == FishSoup(fish=3)
    assert type(FishSoup.model_validate({"kind": "spicy_fish_soup"})) is SpicyFishSoup


def test_an_unknown_kind_names_the_nearest_one():
    with pytest.raises(ValidationError, match="unknown kind 'fish_sop'; did you mean 'fish_soup'"):
        Menu.model_validate({"main": {"kind": "fish_sop"}})


def test_a_kind_far_from_all_lists_them():
    with pytest.raises(ValidationError, match="unknown kind 'xyz'; known: fish_soup, roast_b2_b, spicy_fish_soup"):
        Menu.model_validate({"main": {"kind": "xyz"}})


def test_a_family_without_a_kind_is_refused():
    with pytest.raises(ValidationError, match="unknown kind None"):
        Menu.model_validate({"main": {"salt": 1.0}})


def test_a_kind_of_another_family_is_refused():
    with pytest.raises(ValidationError, match="unknown kind 'iid'"):
        Menu.model_validate({"main": {"kind": "iid"}})
    with pytest.raises(ValidationError):
        Menu.model_validate({"main": Iid()})


@pytest.mark.parametrize("fields", [{"fish": "2"}, {"fish": 2.0}, {"fish": True}, {"salt": "1"}, {"fish": None}])
def test_values_are_not_converted(fields):
    with pytest.raises(ValidationError):
        FishSoup(**fields)


def test_items_of_a_tuple_stay_strict_though_a_list_will_do():
    assert Menu(courses=[1, 2]).courses == (1, 2)
    with pytest.raises(ValidationError):
        Menu(courses=["1"])


@pytest.mark.parametrize("fields", [{"fish": 0}, {"salt": -0.1}])
def test_values_out_of_range_are_refused(fields):
    with pytest.raises(ValidationError, match="greater than or equal to"):
        FishSoup(**fields)


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        FishSoup(fihs=2)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Menu.model_validate({"main": {"kind": "roast_b2_b", "fish": 2}})


def test_a_value_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        FishSoup().fish = 3


def test_equal_values_are_one_key():
    assert {FishSoup(fish=3): "x"}[FishSoup(fish=3)] == "x"
    assert FishSoup(fish=3) != FishSoup(fish=4)
    assert FishSoup() != SpicyFishSoup()


def test_real_rules_choose_by_kind_too():
    assert PartitionRule.model_validate({"kind": "dirichlet", "alpha": 0.3}) == Dirichlet(alpha=0.3)
    with pytest.raises(ValidationError, match="did you mean 'dirichlet'"):
        PartitionRule.model_validate({"kind": "dirichlett"})


def test_a_hint_names_the_nearest_word_or_all():
    assert nearest("wdth", ["width", "blocks"]) == "did you mean 'width'?"
    assert nearest("zzz", ["width", "blocks"]) == "known: blocks, width"
