"""Who is told how far a run has come."""

from types import TracebackType
from typing import Protocol


class Progress(Protocol):
    """Told what runs, and of each round that is done."""

    def begin(self, label: str, rounds: int) -> None: ...

    def advance(self) -> None: ...


class Silent:
    """No progress."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, label: str, rounds: int) -> None:
        """Ignored."""

    def advance(self) -> None:
        """Ignored."""
