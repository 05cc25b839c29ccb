"""Orders and contributions as Flower records: the one owner of the names on the wire."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from federation.phases import named
from federation.tensors import Parameters, nbytes
from federation.wire.contribution import Contribution

ARRAYS, CONFIG, TRAFFIC = "arrays", "config", "traffic"
LABELS = "labels"
"""Name of the counts of the classes in the whole federation, among an order's tensors."""
KNOWN = "known"
"""Name of the histogram of the novelty of held-out samples, among an order's tensors."""

VARIANCES = "variances"
"""Name of the variances of experts with Gaussian heads, among an order's tensors."""

AGAIN = "again"
"""Prefix of what an order tells once more, to clients that have lost what they were told."""

COUNTED = "counted"
"""Setting of an order for a client whose last answer was not counted: the last round of the phase that was, or -1."""

FORGOTTEN = "forgotten"
"""Marks the reply of a client that has lost what it was told, as after a restart."""

RAW = "raw"
"""Flower's name of how a client's memory is laid out: the numbers of a tensor and nothing else."""

PACKED = "safetensors"
"""Flower's name of how many tensors are laid out as one array. Each array is an object of its own to Flower, with
requests of its own: a round of a deployment takes half the time where there is one."""

DATA, SUMMARY = "data", "summary"
"""Names of a client's digest of its data, and of what it tells of its raw rows."""

ACTION = "train.contribute"
"""The Flower message type of every order."""

QUESTION = "query.summary"
"""That of what is asked before the first order, where raw rows are to be prepared."""


class ForgottenError(KeyError):
    """A client lacks what it was told earlier in the run; the server tells it again."""

    def __init__(self, client: int) -> None:
        super().__init__(client)
        self.client = client

    def __str__(self) -> str:
        return f"client {self.client}: has lost what it was told, as after a restart; it is told again"


@dataclass(frozen=True)
class Order:
    """What the server asks of a client: a phase, the round within it, and the tensors that the client needs.

    `progress` runs from 0 to 1 over the rounds of a phase and drives learning-rate schedules. `seed` is the run's.
    `regions` are those for each of which the client answers with its samples there; then tensors are `region/name`.
    `overrides` is what has been found since the run began of its scenario's fields: JSON, by dotted name.
    """

    phase: str
    round: int
    progress: float = 0.0
    seed: int = 0
    settings: Mapping[str, float] = field(default_factory=dict)
    tensors: Parameters = field(default_factory=dict)
    overrides: str = ""
    regions: tuple[int, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return nbytes(self.tensors)

    def to_record(self) -> RecordDict:
        """The order as it travels."""
        config = ConfigRecord({"phase": self.phase, "round": self.round, "progress": self.progress, "seed": self.seed})
        config["overrides"], config["regions"] = self.overrides, list(self.regions)
        config.update({f"settings/{name}": float(value) for name, value in self.settings.items()})
        return RecordDict({ARRAYS: to_packed(self.tensors), CONFIG: config})

    @staticmethod
    def from_record(record: RecordDict) -> "Order":
        """The inverse of `to_record`.

        Raises:
            ValueError: its phase is unknown here.
        """
        config = record.config_records[CONFIG]
        return Order(
            phase=named(str(config["phase"])).kind(),
            round=int(str(config["round"])),
            progress=float(str(config["progress"])),
            seed=int(str(config["seed"])),
            settings={
                name.removeprefix("settings/"): float(str(value))
                for name, value in config.items()
                if name.startswith("settings/")
            },
            tensors=from_arrays(record.array_records[ARRAYS]),
            overrides=str(config["overrides"]),
            regions=tuple(int(str(region)) for region in _list(config["regions"])),
        )


def contribution_record(
    contribution: Contribution, phase: str, round_: int, nodes: Sequence[int], data: str = ""
) -> RecordDict:
    """A contribution as it travels, marked with the phase and round that it answers.

    Args:
        nodes: the Flower node of each client in the contribution, in the order of `clients`.
        data: digest of the data of a client alone.
    """
    named = {f"{region}/{name}": t for region, sums in contribution.sums.items() for name, t in sums.items()}
    config = ConfigRecord(
        {"clients": list(contribution.clients), "nodes": list(nodes), "phase": phase, "round": round_, DATA: data}
    )
    return RecordDict({ARRAYS: to_packed(named), CONFIG: config})


def forgotten_record(client: int) -> RecordDict:
    """The reply of a client that lacks what it was told."""
    return RecordDict({CONFIG: ConfigRecord({FORGOTTEN: client})})


def read_contribution(
    record: RecordDict, phase: str, rounds: Collection[int]
) -> tuple[Contribution, tuple[int, ...], int]:
    """The inverse of `contribution_record`: the contribution, the node of each of its clients, and its round.

    Raises:
        ValueError: the reply answers another phase, or none of the rounds that may be answered, or lacks a part.
        ForgottenError: the client must be told again.
    """
    if CONFIG in record.config_records and isinstance(client := record.config_records[CONFIG].get(FORGOTTEN), int):
        raise ForgottenError(client)
    if ARRAYS not in record.array_records or CONFIG not in record.config_records:
        raise ValueError("the reply lacks its arrays or its config")
    config = record.config_records[CONFIG]
    phase_, round_ = config.get("phase"), config.get("round")
    if phase_ != phase or not isinstance(round_, int) or round_ not in rounds:
        expected = f"{phase} {', '.join(map(str, rounds))}"
        raise ValueError(f"stale reply: answers {phase_!r} {round_!r}, expected {expected}")
    try:
        tensors = from_arrays(record.array_records[ARRAYS])
    except (TypeError, ValueError, EOFError, MemoryError, SafetensorError) as error:
        raise ValueError(f"arrays that cannot be read: {error}") from None
    sums: dict[int, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        region, _, name = full.partition("/")
        sums.setdefault(int(region), {})[name] = tensor
    clients, nodes = (tuple(int(str(n)) for n in _list(config.get(name))) for name in ("clients", "nodes"))
    if not clients or len(clients) != len(nodes):
        raise ValueError(f"the reply names {len(clients)} clients and {len(nodes)} nodes")
    return Contribution(clients, sums), nodes, round_


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def to_arrays(tensors: Parameters) -> ArrayRecord:
    """Tensors as a Flower record, an array each, as Flower's own strategies read them."""
    return ArrayRecord({name: Array(_array(tensor)) for name, tensor in tensors.items()})


def to_packed(tensors: Parameters) -> ArrayRecord:
    """Tensors as a Flower record of one array, their names numbered: safetensors sorts what it holds."""
    data = safetensors.numpy.save({f"{n} {name}": _array(tensors[name]) for n, name in enumerate(tensors)})
    return ArrayRecord({PACKED: Array("uint8", (len(data),), PACKED, data)})


def _unpacked(data: bytes) -> dict[str, Tensor]:
    numbered = {tuple(name.split(" ", 1)): tensor for name, tensor in safetensors.torch.load(data).items()}
    return {name: numbered[number, name] for number, name in sorted(numbered, key=lambda each: int(each[0]))}


def to_memory(tensors: Parameters) -> ArrayRecord:
    """Tensors as a Flower record that stays with a client: as they lie in memory, which is written and read faster."""
    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    return ArrayRecord({name: Array(str(a.dtype), a.shape, RAW, a.tobytes()) for name, a in arrays.items()})


def from_arrays(record: ArrayRecord) -> dict[str, Tensor]:
    """The inverse of `to_arrays`, of `to_packed`, and of `to_memory`."""
    found: dict[str, Tensor] = {}
    for name, array in record.items():
        found |= _unpacked(array.data) if array.stype == PACKED else {name: to_tensor(array)}
    return found


def array_nbytes(array: Array) -> int:
    """Bytes of the tensors in one array of a record, what tells of them not counted."""
    if array.stype == PACKED:
        return len(array.data) - 8 - int.from_bytes(array.data[:8], "little")  # the header and its length
    return prod(array.shape) * np.dtype(array.dtype).itemsize


def to_tensor(array: Array) -> Tensor:
    """One tensor of a record."""
    if array.stype == RAW:
        return torch.from_numpy(np.frombuffer(array.data, array.dtype).reshape(array.shape).copy())
    return torch.from_numpy(array.numpy())


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.asarray(tensor.detach().cpu().numpy(), order="C")


def read_model(record: ArrayRecord) -> dict[str, Tensor]:
    """A model's weights in float32; some of Flower's strategies send float64."""
    return {name: tensor.float() for name, tensor in from_arrays(record).items()}
