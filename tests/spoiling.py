"""What somebody may do to a file of plain data and tensors, drawn at random."""

import torch

HUGE = 2**40


def spoilt_number(draw, value):
    return draw.choice(
        [-1, 0, 1, -value, value * 1000, HUGE, 1e300, -1e300, "3", None, [], {}, True, [[[]]], "x" * 1000]
    )


def spoil_manifest(draw, manifest):
    """Change, rename or take out one value somewhere in plain data."""
    at = manifest
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = draw.choice(keys)
        inner = at[key]
        if isinstance(inner, dict | list) and inner and draw.random() < 0.8:
            at = inner
            continue
        change = draw.randrange(3)
        if change == 0:
            at[key] = spoilt_number(draw, inner if isinstance(inner, int | float) else 7)
        elif change == 1:
            del at[key]
        elif isinstance(at, dict):
            at[f"{key}x"] = inner
        return


def spoil_weights(draw, tensors):
    """Change, rename or take out one tensor."""
    name = draw.choice(sorted(tensors))
    tensor = tensors.pop(name)
    changes = [
        lambda: tensor * float("nan"),
        lambda: tensor.double() * 1e300,
        lambda: -tensor,
        lambda: tensor * 0,
        lambda: tensor.long(),
        lambda: tensor.half(),
        lambda: tensor + 1000,
        lambda: tensor.unsqueeze(0),
        lambda: tensor.flatten()[:-1].clone(),
        lambda: torch.cat([tensor.flatten(), tensor.flatten()]),
        lambda: tensor > 0,
        lambda: None,
    ]
    changed = draw.choice(changes)()
    if changed is not None:
        tensors[name if draw.random() < 0.8 else f"{name}x"] = changed.contiguous()
