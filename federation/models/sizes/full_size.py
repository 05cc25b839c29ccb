"""Devices that are all alike."""

from federation.models.family import FULL, Size
from federation.models.sizes.rule import SizeRule


class FullSize(SizeRule):
    """Every client trains the whole model."""

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (FULL,)

    def of(self, client: int, seed: int) -> Size:
        return FULL
