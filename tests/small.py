"""A digits federation that runs in about a second, for tests of everything above the mathematics."""

from typing import Any

ROUNDS: dict[str, Any] = {
    "partition.clients": 5,
    "prior.rounds": 2,
    "experts.rounds": 1,
    "head.rounds": 1,
    "router.rounds": 1,
    "local.epochs": 1,
    "search.factors": [1.0],
}


def flags(**more: Any) -> list[str]:
    """The same as command-line flags."""
    fields = ROUNDS | {name.replace("__", "."): value for name, value in more.items()}
    return ["--workers", "0"] + [word for field, value in fields.items() for word in ("--set", f"{field}={value}")]


class Quiet:
    """Progress that nobody sees."""

    def begin(self, label: str, rounds: int) -> None: ...

    def advance(self) -> None: ...
