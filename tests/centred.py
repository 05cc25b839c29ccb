"""Digits, and the mean of all inputs in two rounds, the second of which sees what the first has found."""

from dataclasses import replace

import torch

from clients.sums import one_by_one
from federation.phases import Phase
from scenarios.library import digits
from server.phases.contract import ServerSide, Told

load = digits.load


class Client:
    def contribute(self, orders, cohort, scenario, task):
        return one_by_one(orders, cohort, self.sums)

    def sums(self, order, member):
        inputs = member.data.train.inputs.double()
        count = torch.tensor(float(len(inputs)), dtype=torch.float64)
        return {"sum": (inputs - order.tensors["mean"]).sum(0), "count": count}


class Server(ServerSide):
    def rounds(self, phase, scenario, task):
        return 2

    def told(self, now, kind):
        return Told({"mean": self.mean(now)})

    def answer(self, now, region, size):
        return {"sum": now.task.input_shape, "count": ()}

    def advance(self, now, total):
        sums = total.everywhere()
        mean = self.mean(now) + sums["sum"] / sums["count"]
        return replace(now.state, own=now.state.own | {"centre": {"mean": mean}})

    def mean(self, now):
        return now.state.own.get("centre", {}).get("mean", torch.zeros(now.task.input_shape, dtype=torch.float64))


class Centre(Phase):
    asks_all = True
    needs_region = False
    client = Client()
    server = Server()


SCENARIO = digits.SCENARIO.model_copy(update={"phases": (Centre(), *digits.SCENARIO.phases)})
