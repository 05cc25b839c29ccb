"""A member of a cohort: its number, its samples, and what it remembers between rounds."""

from collections.abc import MutableMapping
from dataclasses import dataclass

from torch import Tensor

from federation.data import ClientData


@dataclass(frozen=True)
class Member:
    """One client as the stages see it. `memory` stays with the client and never travels."""

    number: int
    data: ClientData
    memory: MutableMapping[str, Tensor]
