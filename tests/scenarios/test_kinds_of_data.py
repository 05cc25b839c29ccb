"""Own data get a family, features and an encoder for what they are: flat rows, images, or signals."""

import numpy as np
import pytest
from PIL import Image

from federation.manifold import FourierFeatures, GaborEnergies, SignalStatistics
from federation.models import Convnet, Mlp
from federation.opening import open_scenario
from federation.tasks import Classification


def scenario(path, **overrides):
    return open_scenario("own", {"data.path": str(path), **overrides}).scenario


@pytest.mark.parametrize(
    ("shape", "family", "features"),
    [
        ((20,), Mlp, FourierFeatures),
        ((12, 16), Convnet, GaborEnergies),
        ((3, 12, 16), Convnet, GaborEnergies),
        ((16, 16, 1), Convnet, GaborEnergies),
        ((9, 64, 1), Convnet, type(None)),
    ],
    ids=["rows", "gray images", "images", "channels last", "signals"],
)
def test_the_shape_of_a_sample_says_what_suits_it(shape, family, features, tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=np.zeros((4, *shape)), y_train=np.arange(4) % 2)
    found = scenario(tmp_path / "mine.npz")
    assert isinstance(found.model, family)
    assert isinstance(found.head.features, features)
    if features is type(None):
        assert isinstance(found.encoder.features, SignalStatistics)


def test_a_folder_of_images_holds_images_and_a_table_rows(tmp_path):
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "pets" / "cat" / "a.png")
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert isinstance(scenario(tmp_path / "pets").model, Convnet)
    assert isinstance(scenario(tmp_path / "mine.csv").model, Mlp)


def test_what_suits_may_be_set_by_hand(tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=np.zeros((4, 12, 16)), y_train=np.arange(4) % 2)
    assert scenario(tmp_path / "mine.npz", **{"model.channels": [4]}).model == Convnet(channels=(4,))
    assert scenario(tmp_path / "mine.npz", **{"model": {"kind": "mlp"}}).model == Mlp()


def test_sites_that_agreed_on_a_task_need_no_file():
    task = Classification(input_shape=(1, 8, 8), outputs=2)
    assert isinstance(open_scenario("own", {"data.sites": {"clients": 2, "task": task.dump()}}).scenario.model, Convnet)
    assert isinstance(open_scenario("own").scenario.model, Mlp)
