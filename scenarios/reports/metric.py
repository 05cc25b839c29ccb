"""How scores are written and drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_R2 = -0.25
"""What is less is not drawn: a diverged model's R2 has no bound."""


@dataclass(frozen=True)
class Metric:
    """How a score is written and drawn: accuracy in per cent, R2 as it is."""

    name: str

    @property
    def percent(self) -> bool:
        """Whether scores are shares."""
        return self.name == "accuracy"

    @property
    def scale(self) -> float:
        """From a score to what is shown."""
        return 100.0 if self.percent else 1.0

    @property
    def axis(self) -> str:
        """Label of an axis."""
        return "accuracy, %" if self.percent else "R²"

    def limits(self, values: Sequence[float]) -> tuple[float, float]:
        """An axis that holds the shown values as far as they are possible ones, with some air."""
        least, greatest = (0.0, 100.0) if self.percent else (LEAST_R2, 1.0)
        low = max(least, min(values, default=least))
        high = max(low, min(greatest, max(values, default=greatest)))
        air = 0.06 * max(high - low, 0.2 * self.scale)
        return max(least, low - air), min(greatest + 0.006 * self.scale, high + air)

    def value(self, score: float | None) -> str:
        """A score as text."""
        if score is None:
            return "no value"
        return signed(f"{100 * score:.1f}\u00a0%" if self.percent else f"{score:.3f}")

    def difference(self, score: float) -> str:
        """A difference of scores as text, with its sign."""
        return signed(f"{100 * score:+.1f}" if self.percent else f"{score:+.3f}")


def signed(text: str) -> str:
    """The text with true minus signs."""
    return text.replace("-", "\u2212")
