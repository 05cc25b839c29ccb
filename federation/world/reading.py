"""A model's files are checked before anything is made of them: whoever wrote them may have written anything."""

import json
from pathlib import Path
from typing import Any

import psutil
from safetensors import safe_open
from torch import Tensor

LARGEST_MANIFEST, LARGEST_NUMBER = 2**24, 1e12
"""Bytes of a manifest, and size of a weight, far beyond any that were ever of use."""

FEWEST = 2**16
"""Whole numbers of a manifest up to this are accepted whatever the weights are."""


def read_manifest(path: Path, version: int) -> dict[str, Any]:
    """The JSON object of a model's file.

    Raises:
        OSError, ValueError, RecursionError: it is not readable, no object, or of another version.
    """
    if path.stat().st_size > LARGEST_MANIFEST:
        raise ValueError(f"{path.name} is larger than {LARGEST_MANIFEST:,} bytes")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(manifest, dict):
        raise ValueError(f"{path.name} holds no object")
    if type(manifest.get("version")) is not int:
        raise ValueError(f"its version is {manifest.get('version')!r}, expected a whole number")
    if manifest["version"] != version:
        raise ValueError(f"its version is {manifest['version']}, expected {version}; update the package")
    return manifest


def read_weights(path: Path, manifest: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of a model's file: finite, of 32 or 64 bits, and large enough for what its manifest speaks of.

    Raises:
        OSError, SafetensorError, ValueError: they are not.
    """
    _, tensors = read_tensors(path)
    for name, tensor in tensors.items():
        if tensor.numel() and not float(tensor.abs().max()) <= LARGEST_NUMBER:
            raise ValueError(f"{name} holds numbers beyond {LARGEST_NUMBER:g}")
    most = max(FEWEST, sum(tensor.numel() for tensor in tensors.values()))
    counted = {name: value for name, value in manifest.items() if name != "preparation"}  # whose classes may be any
    if (found := max(_whole_numbers(counted), default=0)) > most:
        raise ValueError(f"its manifest speaks of {found:,} of something, its weights are {most:,} at most")
    return tensors


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors of a safetensors file, whose header is judged before anything is allocated.

    Raises:
        OSError, SafetensorError, ValueError: it is none, has more bytes than this machine has memory, or tensors that
            are not of 32 or 64 bits, or not finite.
    """
    if (size := path.stat().st_size) > (memory := psutil.virtual_memory().total):
        raise ValueError(f"{path.name} has {size:,} bytes, more than the {memory:,} of this machine's memory")
    with safe_open(path, "pt") as file:
        names = list(file.keys())
        for name in names:
            if (kind := file.get_slice(name).get_dtype()) not in ("F32", "F64", "I64"):
                raise ValueError(f"{name} is of type {kind}")
        tensors = {name: file.get_tensor(name) for name in names}
        metadata = file.metadata() or {}
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity")
    return metadata, tensors


def _whole_numbers(value: Any) -> list[int]:
    """All whole numbers in plain data."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [abs(value)]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [number for each in inner for number in _whole_numbers(each)]
