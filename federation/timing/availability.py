"""When simulated clients are there, and how long they take to answer. One rule a class.

Time is virtual: seconds since the run began, which pass only while the server waits. So a day of stragglers is
simulated in the time that the training takes, and the same seed gives the same day.
"""

from abc import abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from federation.randomness import Streams, generator
from federation.rules import Rule

DAY = 86_400.0

Numbers = NDArray[np.int64]


class AvailabilityRule(Rule):
    """Contract: the same seed gives the same answers, whoever else is asked for."""

    @abstractmethod
    def online(self, clients: Numbers, time: float, seed: int) -> NDArray[np.bool_]:
        """Of each client, whether it can be asked at this time."""

    @abstractmethod
    def seconds(self, clients: Numbers, sending: int, seed: int) -> NDArray[np.float64]:
        """How long each takes to answer the run's `sending`-th batch of messages; infinity: it never does."""


class Always(AvailabilityRule):
    """Everybody is there, and time does not count."""

    def online(self, clients: Numbers, time: float, seed: int) -> NDArray[np.bool_]:
        return np.ones(len(clients), dtype=bool)

    def seconds(self, clients: Numbers, sending: int, seed: int) -> NDArray[np.float64]:
        return np.zeros(len(clients))


class Devices(AvailabilityRule):
    """Devices of unequal speed that drop out now and then, and sleep at night.

    The logarithm of the time that an answer takes is normal about the device's own, which is normal over devices.
    A device is awake for a share of the day that begins at its own hour; the hours are normal over the zones.
    Source: the cohort of a day in Bonawitz et al. (2019), "Towards federated learning at scale".
    """

    seconds_per_answer: float = Field(default=10.0, ge=0, description="the median device's")
    spread: float = Field(default=0.5, ge=0, description="deviation of log seconds over devices")
    jitter: float = Field(default=0.1, ge=0, description="deviation of log seconds from answer to answer")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of messages that are never answered")
    awake: float = Field(default=1.0, gt=0, le=1, description="share of the day in which a device is online")
    zones: float = Field(default=0.1, ge=0, description="deviation of the hour at which days begin, in days")

    def online(self, clients: Numbers, time: float, seed: int) -> NDArray[np.bool_]:
        if self.awake == 1:
            return np.ones(len(clients), dtype=bool)
        begins = self.zones * generator(seed, "zones").standard_normal(int(clients.max(initial=0)) + 1)[clients]
        return (time / DAY - begins) % 1 < self.awake

    def seconds(self, clients: Numbers, sending: int, seed: int) -> NDArray[np.float64]:
        speeds, answers = Streams(seed, "speed"), Streams(seed, "answer", sending)
        taken = np.empty(len(clients))
        for place, client in enumerate(clients.tolist()):
            own, answer = speeds.of(client).standard_normal(), answers.of(client)
            lost, noise = answer.random() < self.dropout, answer.standard_normal()
            needed = self.seconds_per_answer * np.exp(self.spread * own + self.jitter * noise)
            taken[place] = np.inf if lost else needed
        return taken


class Traces(Devices):
    """Devices that are online as recorded: a CSV file of `device,start,end` in seconds, which repeats without end.

    Client n follows the n-th recorded device, counted round. A first line of names is passed over.
    """

    path: str

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _recorded(self.path)
        return self

    def online(self, clients: Numbers, time: float, seed: int) -> NDArray[np.bool_]:
        spans, period = _recorded(self.path)
        there = np.array([bool(((own[:, 0] <= time % period) & (time % period < own[:, 1])).any()) for own in spans])
        return there[clients % len(spans)]


@lru_cache
def _recorded(path: str) -> tuple[list[NDArray[np.float64]], float]:
    """The spans [start, end) of each recorded device, and the end of the last."""
    try:
        lines = [line.split(",") for line in Path(path).read_text(encoding="utf-8").split()]
        rows = np.array([line for line in lines if line[0].strip("-").isdigit()], dtype=np.float64).reshape(-1, 3)
    except (OSError, ValueError) as error:
        raise ValueError(f"no readable trace {path} ({error}); give a CSV file of device,start,end") from None
    if not len(rows) or not (rows[:, 1] < rows[:, 2]).all() or rows[:, 1].min() < 0:
        raise ValueError(f"trace {path} holds no spans, or one that ends before it starts; give device,start,end")
    return [rows[rows[:, 0] == device, 1:] for device in np.unique(rows[:, 0])], float(rows[:, 2].max())
