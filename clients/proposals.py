"""What a client remembers of its own answer, which holds only once the server has counted that answer.

An answer may be late, lost or refused. Then the server goes on without it, and so must the client.
"""

from math import inf

import torch

from clients.member import Member
from federation.tensors import Parameters, prefixed
from federation.wire.records import COUNTED, Order


def agreed(member: Member, order: Order) -> Parameters:
    """What the member proposed with the last answer that was counted; nothing before the first."""
    memory, phase = member.memory, order.phase
    if f"{phase}/round" not in memory:
        return {}
    proposed = float(memory[f"{phase}/round"])
    counts = proposed < order.round and proposed <= order.settings.get(COUNTED, inf)
    return memory.under(f"{phase}/{'proposed' if counts else 'agreed'}")


def propose(member: Member, order: Order, before: Parameters, proposed: Parameters) -> None:
    """Remember what shall hold if this answer is counted, and what holds if it is not."""
    known = prefixed("agreed", before) | prefixed("proposed", proposed) | {"round": torch.tensor(float(order.round))}
    member.memory.update(prefixed(order.phase, known))
