"""What else answers are measured by, and losses of a user's own."""

import sys
from math import sqrt
from pathlib import Path

import pytest
import torch

from federation.functions import function
from federation.rules import InputError
from federation.tasks import Classification, Regression

CLASSES = Classification(input_shape=(2,), outputs=3)
VALUES = Regression(input_shape=(2,), outputs=2)
VALUE = Regression(input_shape=(2,), outputs=1)


def test_measures_of_classes_are_means_over_the_classes_that_the_test_has():
    """Class 2 is answered once and never true. Class 0: recall 2/3, F1 4/5, two of three pairs in order, precisions of
    1, 1 and 3/4 where its samples are found. Class 1 is without fault."""
    answers = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.4, 0.5, 0.1]])
    found = CLASSES.measures(answers, torch.tensor([0, 0, 0, 1]))
    assert found == pytest.approx(
        {"balanced_accuracy": 5 / 6, "f1": 9 / 10, "auroc": 5 / 6, "average_precision": 23 / 24}
    )


def test_a_test_of_one_class_has_no_areas_under_curves():
    answers = torch.tensor([[0.1, 0.8, 0.1], [0.5, 0.4, 0.1]])
    assert CLASSES.measures(answers, torch.tensor([1, 1])) == pytest.approx({"balanced_accuracy": 1 / 2, "f1": 2 / 3})


def test_the_most_frequent_class_alone_is_right_by_its_share_and_by_one_in_the_number_of_classes():
    targets = torch.tensor([2, 2, 2, 0])
    assert CLASSES.constant(targets).tolist() == [[0.0, 0.0, 1.0]] * 4
    assert CLASSES.constant_score(targets) == 0.75
    assert CLASSES.measures(CLASSES.constant(targets), targets) == pytest.approx(
        {"balanced_accuracy": 1 / 2, "f1": 3 / 7, "auroc": 1 / 2, "average_precision": 1 / 2}
    )


def test_each_real_value_has_errors_of_its_own_and_a_constant_one_has_no_r2():
    targets = torch.tensor([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    answers = torch.tensor([[0.0, 5.0], [3.0, 5.0], [4.0, 8.0]])
    assert VALUES.measures(answers, targets, ["euro", "kilo"]) == pytest.approx(
        {"rmse euro": sqrt(1 / 3), "mae euro": 1 / 3, "r2 euro": 7 / 8, "rmse kilo": sqrt(3), "mae kilo": 1.0}
    )
    assert list(VALUES.measures(answers, targets))[:3] == ["rmse 0", "mae 0", "r2 0"]


def test_one_value_needs_no_name():
    found = VALUE.measures(torch.tensor([[1.0], [1.0]]), torch.tensor([[0.0], [2.0]]), ["euro"])
    assert found == {"rmse": 1.0, "mae": 1.0, "r2": 0.0}


@pytest.mark.parametrize(
    ("task", "targets", "tells"),
    [
        (CLASSES, torch.tensor([1]), True),
        (CLASSES, torch.zeros(0, dtype=torch.int64), False),
        (VALUES, torch.tensor([[1.0, 2.0], [1.0, 3.0]]), True),
        (VALUES, torch.tensor([[1.0, 2.0], [1.0, 2.0]]), False),
        (VALUES, torch.zeros(0, 2), False),
    ],
    ids=["one sample", "no class", "varying", "constant", "no value"],
)
def test_targets_that_tell_nothing_have_no_score(task, targets, tells):
    assert task.scorable(targets) is tells


# --- losses of one's own ---------------------------------------------------------------------------------------------

MODULE = """
import torch
import torch.nn.functional as F

def half(outputs, targets): return 0.5 * (outputs - targets).square().sum(-1)
def absolute(outputs, targets): return (outputs - targets).abs().sum(-1)
def entropy(outputs, targets): return F.cross_entropy(outputs, targets, reduction="none")
def mean(outputs, targets): return (outputs - targets).square().mean()
def number(outputs, targets): return 1.0
def steep(outputs, targets): return (outputs - targets).square().sum(-1).sqrt()
def broken(outputs, targets): return outputs[:, 7]
nothing = 3
"""


@pytest.fixture
def losses(tmp_path, monkeypatch):
    """A module of losses in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("ownlosses.py").write_text(MODULE, encoding="utf-8")


def with_loss(task, name):
    return task.model_copy(update={"loss": f"ownlosses:{name}"})


@pytest.mark.parametrize(("task", "name"), [(VALUES, "half"), (CLASSES, "entropy")])
def test_the_tasks_own_loss_written_again_gives_its_own_gradients(losses, task, name):
    draw = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 5, task.outputs, generator=draw)
    targets = torch.randint(3, (2, 5), generator=draw) if task.classifies else torch.randn(2, 5, 2, generator=draw)
    torch.testing.assert_close(with_loss(task, name).descent(outputs, targets), task.gradients(outputs, targets))
    torch.testing.assert_close(with_loss(task, name).objective(outputs, targets), task.losses(outputs, targets))


def test_steps_go_down_another_loss_while_the_task_reports_its_own(losses):
    outputs, targets = torch.tensor([[[1.0, -3.0]]]), torch.zeros(1, 1, 2)
    told, gradients = with_loss(VALUES, "absolute").descent(outputs, targets)
    assert told.tolist() == [[5.0]]
    assert gradients.tolist() == [[[1.0, -1.0]]]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("half", None),
        ("mean", r"loss ownlosses:mean gave \[\] for 2 rows; expected a tensor of one number a row"),
        ("number", "loss ownlosses:number gave float for 2 rows"),
        ("steep", "gradients of loss ownlosses:steep on two rows of zeros: 4 values are NaN or infinite"),
        ("broken", "loss ownlosses:broken fails on two rows of zeros: IndexError"),
        ("nothing", "ownlosses:nothing is no function but int"),
        ("absent", "ownlosses:absent cannot be imported: AttributeError"),
    ],
)
def test_a_loss_is_tried_before_anything_runs(losses, name, line):
    if line is None:
        with_loss(VALUES, name).check_loss()
    else:
        with pytest.raises(InputError, match=line):
            with_loss(VALUES, name).check_loss()


@pytest.mark.parametrize("name", ["ownlosses", "own losses:half", ":half", "ownlosses:", "../own:half"])
def test_a_function_is_named_by_its_module_and_its_name(name):
    with pytest.raises(InputError, match="expected module:function"):
        function(name)
