"""The ClientApps of a site that cheats: they spoil their replies on the way out, in each phase in another way.

Usage: hostile.py SOCKET HOST, where HOST is the script of honest ones.
"""

import runpy
import sys

import numpy as np
import safetensors.numpy
from flwr.app import Array
from flwr.supernode.runtime import run_clientapp as runtime

honest = runtime.push_message


def replaced(arrays, change):
    """Each of the tensors in another's place."""
    [packed] = arrays.values()
    tensors = safetensors.numpy.load(packed.data)
    arrays.clear()
    for name, tensor in tensors.items():
        arrays[name.partition(" ")[2]] = Array(change(tensor))


def not_a_number(arrays, config):
    replaced(arrays, lambda tensor: np.full_like(tensor, np.nan))


def other_shapes(arrays, config):
    replaced(arrays, lambda tensor: np.ones((7, 7, 7), dtype=np.float32))


def words(arrays, config):
    replaced(arrays, lambda tensor: np.array(["nonsense"]))


def old_round(arrays, config):
    config["round"] -= 1


def somebody_else(arrays, config):
    config["clients"] = [0]


SPOILT = {
    "prior": not_a_number,
    "encoder": other_shapes,
    "experts": somebody_else,
    "evidence": words,
    "composition": old_round,
}


def push(client, message, context):
    """Spoil a reply on its way out."""
    if message.has_content():
        config = message.content.config_records["config"]
        if spoil := SPOILT.get(config.get("phase")):
            spoil(message.content.array_records["arrays"], config)
    honest(client, message, context)


if __name__ == "__main__":
    runtime.push_message = push
    runpy.run_path(sys.argv[2], run_name="__main__")
