"""Checkpoints: all that a run needs to go on after a finished round, each a file that is there whole or not at all.

A file holds tensors, and in its header the rest as JSON with a checksum of everything. Nothing in it is ever executed.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from federation.engine import Memories
from federation.learning.fixed_point import Watch
from federation.manifold import Atlas, Chart, Encoder, EncoderRule
from federation.manifold.chart import Moments
from federation.manifold.coordinates import Coordinates
from federation.models import Size
from federation.opening import PATHS
from federation.rules import InputError
from federation.scenario import Scenario
from federation.tensors import dense
from federation.wire.packing import packed, unpacked
from federation.world.confidence import Calibration
from federation.world.context import Context
from federation.world.reading import read_tensors
from server.history import RoundRecord
from server.state import Charted, Model, ServerState

VERSION = 8
KEPT = 3
"""Checkpoints of a run that are there at a time; older ones are removed."""


@dataclass(frozen=True)
class Checkpoint:
    """A run between two rounds.

    Attributes:
        history: the rounds that are done.
        node_of: the node of each client.
        aware: clients that remember what they were told, by phase.
        turns: rounds in which clients were last asked, and last counted, where that matters to them.
        strikes: refused replies in a row of each node.
        samples: of each deployed client, by its census.
        data: digest of the data of each deployed client, by its census.
        empty: rounds in a row without any answer.
        simulated: what the clients of a simulation remember. Deployed ones are told again.
    """

    state: ServerState
    history: tuple[RoundRecord, ...] = ()
    node_of: Mapping[int, int] = field(default_factory=dict)
    aware: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    turns: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    strikes: Mapping[int, int] = field(default_factory=dict)
    samples: Mapping[int, float] = field(default_factory=dict)
    empty: int = 0
    simulated: Memories | None = None
    data: Mapping[int, str] = field(default_factory=dict)


KINDS = (
    *(Checkpoint, ServerState, Charted, Model, RoundRecord, Memories, Watch, Size),
    *(Atlas, Chart, Moments, Coordinates, Encoder, EncoderRule, Context, Calibration),
)
"""All that a checkpoint may consist of."""


class Checkpoints:
    """The checkpoints of one run in a folder.

    Args:
        share: of the time may go into writing them; rounds that are done within the rest are done again.
    """

    def __init__(self, folder: Path, scenario: Scenario, share: float = 1.0) -> None:
        self.folder, self.scenario = folder, scenario
        self._share, self._rest = share, 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() >= self._rest

    @property
    def rounds(self) -> list[int]:
        """The rounds after which there is one, in order."""
        numbers = (file.stem.removeprefix("round-") for file in self.folder.glob("round-*.safetensors"))
        known = (int(number) for number in numbers if number.isdecimal() and number.isascii())
        return sorted(number for number in {*known} if self.path(number).is_file())

    def path(self, rounds: int) -> Path:
        """The file of the checkpoint after so many rounds."""
        return self.folder / f"round-{rounds:05d}.safetensors"

    def keep(self, taken: Callable[[], Checkpoint]) -> None:
        """Take one and write it down; both count as the time that goes into it."""
        began = time.monotonic()
        self.write(taken())
        now = time.monotonic()
        self._rest = now + (now - began) * (1 - self._share) / self._share

    def write(self, checkpoint: Checkpoint) -> None:
        """Write one down, durably, and remove those that are too old, or later, which it makes void."""
        tree, tensors = packed(checkpoint, KINDS)
        body = json.dumps({"scenario": self.scenario.dump(), "checkpoint": tree})
        header = {"version": str(VERSION), "body": body, "checksum": _checksum(body, tensors)}
        self.folder.mkdir(parents=True, exist_ok=True)
        partial, path = self.folder / ".partial", self.path(len(checkpoint.history))
        save_file(dense(tensors), partial, header)
        _flushed(partial)
        os.replace(partial, path)
        _flushed(self.folder)
        done = len(checkpoint.history)
        before = [rounds for rounds in self.rounds if rounds <= done]
        for rounds in set(self.rounds) - set(before[-KEPT:]):
            self.path(rounds).unlink()

    def read(self, rounds: int | None = None) -> Checkpoint:
        """The last one, or that after so many rounds.

        Raises:
            InputError: there is none, or it is damaged, of a newer version, or of another scenario; the message names
                the last good one.
        """
        there = self.rounds
        if not there or (rounds is not None and rounds not in there):
            known = f"there are those after rounds {', '.join(map(str, there))}" if there else "begin the run again"
            raise InputError(f"{self.folder} holds no checkpoint{f' after round {rounds}' * bool(rounds)}; {known}")
        wanted = there[-1] if rounds is None else rounds
        try:
            return self._read(wanted)
        except InputError as error:
            good = next(self._good(reversed([number for number in there if number != wanted])), None)
            offer = "begin the run again" if good is None else f"the last good one is that of --round {good}"
            raise InputError(f"{self.path(wanted)}: {error}; {offer}") from None

    def _good(self, rounds: Iterator[int]) -> Iterator[int]:
        for number in rounds:
            try:
                self._read(number)
            except InputError:
                continue
            yield number

    def _read(self, rounds: int) -> Checkpoint:
        try:
            header, tensors = read_tensors(self.path(rounds))
            version, body = int(header["version"]), header["body"]
            if version != VERSION:
                raise InputError(f"of version {version}, expected {VERSION}; resume it with the package that wrote it")
            if _checksum(body, tensors) != header["checksum"]:
                raise InputError("damaged, its checksum does not match")
            content = json.loads(body)
            if difference := _difference(content["scenario"], self.scenario.dump()):
                raise InputError(f"of another configuration, {difference}")
            checkpoint = unpacked(content["checkpoint"], tensors, KINDS)
            if not isinstance(checkpoint, Checkpoint):
                raise TypeError("it holds no run")
            if (done := len(checkpoint.history)) != rounds:
                raise ValueError(f"it holds {done} rounds")
            return checkpoint
        except InputError:
            raise
        except Exception as error:  # whoever wrote the file may have written anything
            cause = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(f"damaged, it cannot be read ({cause})") from None


def _checksum(body: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the JSON and of all tensors with their names, types and shapes."""
    digest = hashlib.sha256(body.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name].numpy())
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _flushed(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _difference(there: dict[str, Any], here: dict[str, Any], within: str = "") -> str:
    """The first field that differs, with both values; files may lie elsewhere."""
    for name in sorted({*there, *here}):
        old, new, path = there.get(name), here.get(name), f"{within}{name}"
        if old == new or path in PATHS:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            if inner := _difference(old, new, f"{path}."):
                return inner
        else:
            return f"{path} is {old!r} there and {new!r} here"
    return ""
