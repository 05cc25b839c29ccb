"""The checker itself: without it, wrong shapes would pass all other tests unseen."""

import pytest
import torch
from jaxtyping import TypeCheckError

from federation.manifold import Flat, PooledPixels
from federation.routing.rule import strongest


def test_a_tensor_of_the_wrong_shape_is_refused():
    with pytest.raises(TypeCheckError):
        PooledPixels().apply(torch.zeros(()))


def test_a_tensor_of_the_wrong_kind_is_refused():
    with pytest.raises(TypeCheckError):
        Flat().apply(torch.zeros(2, 3, dtype=torch.int64))


def test_an_argument_of_the_wrong_type_is_refused():
    with pytest.raises(TypeCheckError):
        strongest(torch.zeros(2, 3), top=1.5)
