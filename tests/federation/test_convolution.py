"""Convolutions with kernels of each client's own: the two ways of doing them say the same."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.models.convolution import as_groups, as_products, convolved
from federation.randomness import torch_generator

small, side = st.integers(1, 3), st.integers(1, 7)


@given(small, small, small, small, side, side, st.sampled_from([1, 3, 5]), st.integers(1, 2))
def test_products_of_patches_are_grouped_convolutions_and_have_their_gradients(
    clients, samples, channels, units, height, width, kernel, stride
):
    draw = torch_generator(0, "convolution")

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_()

    read = [
        normal(samples, clients * channels, height, width),
        normal(clients, units, channels, kernel if height > 1 else 1, kernel if width > 1 else 1),
        normal(clients, units),
    ]
    strides = [stride if length > 1 else 1 for length in (height, width)]
    groups, products = (way(*read, strides) for way in (as_groups, as_products))
    torch.testing.assert_close(products, groups)
    along = normal(*groups.shape)
    gradients = (torch.autograd.grad(said, read, along) for said in (groups, products))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(other, one)


def test_a_kernel_of_ones_adds_up_what_is_around_and_a_border_is_zero():
    images = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]]])  # one sample of two clients
    said = convolved(images, torch.ones(2, 1, 1, 3, 3), torch.tensor([[0.0], [5.0]]))
    assert said.tolist() == [[[[10, 10], [10, 10]], [[9, 9], [9, 9]]]]


def test_a_stride_takes_every_second_place_of_a_side_that_has_several():
    signal = torch.arange(5.0).view(1, 1, 5, 1)
    said = convolved(signal, torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1), stride=2)
    assert said.flatten().tolist() == [0, 2, 4]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_says_what_a_processor_says():
    draw = torch_generator(0, "convolution")
    read = [torch.randn(shape, generator=draw) for shape in ((3, 8, 9, 9), (4, 5, 2, 3, 3), (4, 5))]
    torch.testing.assert_close(convolved(*(tensor.cuda() for tensor in read)).cpu(), convolved(*read))
