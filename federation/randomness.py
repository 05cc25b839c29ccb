"""Randomness is addressed, not consumed: each draw names its seed, round, client and purpose.

So the number of workers, the size of a cohort and the order of arrival change no draw.
"""

import zlib

import numpy as np
import torch


def generator(seed: int, *address: int | str) -> np.random.Generator:
    """A generator of its own for each address, such as `generator(seed, "batches", round, client)`."""
    words = [
        word for part in address for word in ((0, part) if isinstance(part, int) else (1, zlib.crc32(part.encode())))
    ]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=tuple(words))))


def torch_generator(seed: int, *address: int | str) -> torch.Generator:
    """The same for torch draws, on the CPU so that every device sees the same numbers."""
    return torch.Generator().manual_seed(int(generator(seed, *address).integers(2**63 - 1)))
