"""The workload of all contenders: FedAvg over many small clients, 20 SGD steps of 20 samples each.

A client's samples are drawn from its number alone, so that every contender trains on the same numbers. The figure of
merit is client updates a second in the steady state: the first round, with its start-up, is left out.
"""

import json
import statistics
import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import psutil
import torch
from torch import nn

STEPS, BATCH, RATE = 20, 20, 0.05
SAMPLES, CLASSES = STEPS * BATCH, 10
SHAPES = {"mlp": (64,), "convnet": (1, 28, 28)}
MULTIPLIES = {
    "mlp": 64 * 64 + 64 * 64 + 64 * CLASSES,
    "convnet": 14 * 14 * 25 * 8 + 14 * 14 * 9 * 8 * 16 + 7 * 7 * 9 * 16 * 16 + 3 * 3 * 16 * CLASSES,
}
"""Multiply-adds of one sample's forward pass; a backward pass costs twice as much."""


def client_samples(workload: str, client: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs [400, *shape] around a centre for each class, and labels [400]."""
    draw = torch.Generator().manual_seed(client)
    centres = torch.randn(CLASSES, *SHAPES[workload], generator=draw)
    labels = torch.randint(CLASSES, (SAMPLES,), generator=draw)
    return centres[labels] + torch.randn(SAMPLES, *SHAPES[workload], generator=draw), labels


def module(workload: str) -> nn.Sequential:
    """The workload's model as anybody would write it."""
    torch.manual_seed(0)
    if workload == "mlp":
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, CLASSES))
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(144, CLASSES),
    )  # fmt: skip


class Memory:
    """The most resident memory of this process and all below it, looked at five times a second."""

    def __enter__(self) -> "Memory":
        self.peak, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            self.peak = max(self.peak, resident())


def resident() -> int:
    """MiB of this process and all below it; pages that several share count once for each."""
    total, this = 0, psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total // 2**20


def steady(marks: Sequence[float]) -> list[float]:
    """Seconds between the marks after each round and one before all; the first round is left out."""
    return [after - before for before, after in pairwise(marks)][1:]


def report(contender: str, workload: str, clients: int, seconds: Sequence[float], startup: float, **more: Any) -> None:
    """One line of JSON: the median round as client updates a second."""
    flops = 6 * MULTIPLIES.get(workload, 0) * SAMPLES
    median = statistics.median(seconds)
    line = {
        "contender": contender,
        "workload": workload,
        "clients": clients,
        "rounds": len(seconds),
        "updates_per_s": round(clients / median, 1),
        "gflops": round(clients * flops / median / 1e9, 2),
        "startup_s": round(startup, 2),
    }
    print(json.dumps({**line, **more}), flush=True)
