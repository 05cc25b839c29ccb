"""A member of a cohort: its number, its samples, and what it remembers between rounds."""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass

from flwr.app import ArrayRecord
from torch import Tensor

from federation.data.samples import ClientData
from federation.wire.records import to_memory, to_tensor


class LostError(KeyError):
    """A client does not remember what it was told, as after a restart."""


class Memory(MutableMapping[str, Tensor]):
    """What a client keeps between rounds, in Flower's per-client state; a tensor is decoded when it is asked for.

    Raises:
        LostError: nothing of that name is remembered.
    """

    def __init__(self, kept: ArrayRecord | None = None) -> None:
        self._kept = {} if kept is None else dict(kept.items())
        self._written: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name in self._written:
            return self._written[name]
        if name not in self._kept:
            raise LostError(f"the client remembers no {name!r}; it was not there when it was told")
        return to_tensor(self._kept[name])

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        self._written[str(name)] = tensor  # a checkpoint holds plain strings

    def __delitem__(self, name: str) -> None:
        self._written.pop(name, None)
        self._kept.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._kept, **self._written})

    def __len__(self) -> int:
        return len({**self._kept, **self._written})

    def under(self, prefix: str) -> dict[str, Tensor]:
        """All that is remembered under `prefix/name`, by name."""
        return {name.removeprefix(f"{prefix}/"): self[name] for name in self if name.startswith(f"{prefix}/")}

    @property
    def changed(self) -> bool:
        """Whether anything was written since it was read."""
        return bool(self._written)

    def record(self) -> ArrayRecord:
        """All of it as Flower keeps it; what was not written anew is not copied."""
        return ArrayRecord({**self._kept, **dict(to_memory(self._written).items())})


@dataclass(frozen=True)
class Member:
    """One client as the phases see it. `memory` stays with the client and never travels."""

    number: int
    data: ClientData
    memory: Memory
