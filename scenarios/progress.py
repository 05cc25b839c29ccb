"""Who is told how far a run has come."""

from typing import Protocol


class Progress(Protocol):
    """Told what runs, and of each round that is done."""

    def begin(self, label: str, rounds: int) -> None: ...

    def advance(self) -> None: ...
