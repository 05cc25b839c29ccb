"""Mean and deviation of columns of numbers by sums that can be added up, whoever holds the rows."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field, model_validator

from federation.rules import Frozen, InputError, Several

ROUNDING = 1e-12
"""A column whose deviation is no more than this share of its mean is constant, up to rounding."""

LARGEST = 1e140
"""Numbers beyond it have squares that cannot be added up."""

Finite = Field(allow_inf_nan=False)


class Spread(Frozen):
    """How many rows there are, the mean of each column, and the sum of its squared distances from that mean.

    Plain sums of squares would lose all digits of a date.
    """

    count: int = Field(ge=0)
    mean: Several[float]
    squares: Several[float]

    @model_validator(mode="after")
    def _possible(self) -> "Spread":
        if len(self.mean) != len(self.squares) or not np.isfinite([*self.mean, *self.squares]).all():
            raise ValueError("a spread has a finite mean and a finite sum of squares for each column")
        if min(self.squares, default=0.0) < 0:
            raise ValueError("sums of squares are not negative")
        return self

    @staticmethod
    def of(rows: Float[np.ndarray, "rows columns"] | NDArray[np.generic], where: str) -> "Spread":
        """That of some rows, one or more.

        Raises:
            InputError: a number is too large.
        """
        wide = rows.astype(np.float64)
        if not (np.abs(wide) <= LARGEST).all():
            raise InputError(f"{where} holds numbers beyond {LARGEST:g}; take a larger unit")
        least = wide.min(0)
        mean = np.where(least == wide.max(0), least, wide.mean(0))  # a mean of equal large numbers is rounded
        return Spread(count=len(wide), mean=tuple(mean.tolist()), squares=tuple(np.square(wide - mean).sum(0).tolist()))

    def __add__(self, other: "Spread") -> "Spread":
        """Both together. Source: Chan, Golub and LeVeque (1979)."""
        share = other.count / max(self.count + other.count, 1)
        apart = np.subtract(other.mean, self.mean)
        squares = np.add(self.squares, other.squares) + np.square(apart) * self.count * share
        mean = self.mean + apart * share
        return Spread(count=self.count + other.count, mean=tuple(mean.tolist()), squares=tuple(squares.tolist()))

    def standard(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each column; a constant column has a deviation of 1, and so is only centred."""
        deviation = np.sqrt(np.divide(self.squares, max(self.count, 1)))
        constant = deviation <= ROUNDING * np.abs(self.mean)
        return self.mean, tuple(np.where(constant, 1.0, deviation).tolist())
