"""Whole runs side by side: a function over many items, each a Ray task with a processor of its own."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ray.exceptions import RayError

from federation.engine.workers import RETRIES, connected

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def side_by_side(
    function: Callable[[Item], Answer], items: Sequence[Item], most: int | None = None, address: str | None = None
) -> Iterator[tuple[Item, Answer | RayError]]:
    """Each item with the function's answer, or with what its worker died of, in the order in which they come.

    Args:
        most: how many run at once; without it one a processor.
        address: of a running Ray cluster; without it one is started here, for this process alone.
    """
    ray = connected(address)
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(function)
    at_once = most or max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting, running = deque(items), dict[Any, Item]()
    while waiting or running:
        while waiting and len(running) < at_once:
            item = waiting.popleft()
            running[task.remote(item)] = item
        [done], _ = ray.wait(list(running), num_returns=1)
        yield running.pop(done), _answer(ray, done)


def _answer(ray: Any, done: Any) -> Any:
    try:
        return ray.get(done)
    except RayError as error:
        return error
