"""The clients axis: sums over it, in whatever order the other axes lie in memory, and models along it."""

import contextlib

import pytest
import torch

from federation.tensors import PER_THREAD, stacked, threads_for, unstacked, weighted_sum

LAYOUTS = {
    "a number a client": (3,),
    "vectors": (3, 4),
    "matrices": (3, 4, 5),
    "kernels": (3, 4, 2, 5, 5),
}


@pytest.mark.parametrize("shape", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("turned", [False, True])
def test_a_weighted_sum_is_the_sum_of_weighted_terms(shape, turned):
    stack = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    if turned and stack.dim() > 2:
        stack = stack.transpose(1, -1).contiguous().transpose(1, -1)
    weights = torch.tensor([1.0, 0.5, 3.0])
    expected = sum(weight * one for weight, one in zip(weights.tolist(), stack, strict=True))
    torch.testing.assert_close(weighted_sum(stack, weights), expected)


def test_single_precision_is_added_up_to_double():
    assert weighted_sum(torch.ones(2, 3), torch.tensor([1.0, 2.0])).dtype is torch.float64


def test_models_along_the_clients_axis_come_apart_as_they_were():
    models = [{"w": torch.full((2, 3), float(n)), "b": torch.full((2,), -float(n))} for n in range(3)]
    for apart, model in zip(unstacked(stacked(models)), models, strict=True):
        assert apart.keys() == model.keys()
        assert all(torch.equal(apart[name], model[name]) for name in model)


@pytest.mark.parametrize(("multiplies", "threads"), [(0, 1), (0.9, 1), (1.9, 1), (2, 2), (1000, 3)])
def test_a_step_has_a_thread_for_so_many_multiply_adds_and_no_more_than_there_are(multiplies, threads):
    try:
        torch.set_num_threads(3)
        with threads_for(multiplies * PER_THREAD):
            assert torch.get_num_threads() == threads
        with contextlib.suppress(ValueError), threads_for(0):
            raise ValueError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
