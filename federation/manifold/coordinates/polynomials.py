"""Polynomials of inputs, of which tangents are made."""

import torch
from jaxtyping import Float
from torch import Tensor


def polynomials(rows: Float[Tensor, "*rows inputs"], degree: int) -> Float[Tensor, "*rows polynomials"]:
    """The inputs; of degree two also the products of each two of them."""
    if degree < 2:
        return rows
    one, other = torch.triu_indices(rows.shape[-1], rows.shape[-1], device=rows.device)
    return torch.cat([rows, rows[..., one] * rows[..., other]], -1)


def wide(inputs: int, degree: int) -> int:
    """How many they are."""
    return inputs + (inputs * (inputs + 1) // 2 if degree == 2 else 0)
