"""Randomness is addressed, not consumed: each draw names its seed, round, client and purpose.

So the number of workers, the size of a cohort and the order of arrival change no draw.
"""

import zlib
from typing import Any

import numpy as np
import torch


def generator(seed: int, *address: int | str) -> np.random.Generator:
    """A generator of its own for each address, such as `generator(seed, "batches", round, client)`."""
    words = [
        word for part in address for word in ((0, part) if isinstance(part, int) else (1, zlib.crc32(part.encode())))
    ]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=tuple(words))))


class Streams:
    """A stream of its own for each client of one address, many times cheaper than a generator for each.

    The streams of one address share the key of a counter-based generator, and begin 2**192 draws apart.
    Source: Salmon et al. (2011), Philox.
    """

    def __init__(self, seed: int, *address: int | str) -> None:
        self._bits = generator(seed, *address).bit_generator
        self._state: dict[str, Any] = dict(self._bits.state)
        self._draws = np.random.Generator(self._bits)

    def of(self, client: int) -> np.random.Generator:
        """The stream of one client, from its beginning; good until the next call."""
        self._state["state"]["counter"][:] = 0, 0, 0, client
        self._bits.state = self._state
        return self._draws


def torch_generator(seed: int, *address: int | str) -> torch.Generator:
    """The same for torch draws, on the CPU so that every device sees the same numbers."""
    return torch.Generator().manual_seed(int(generator(seed, *address).integers(2**63 - 1)))
