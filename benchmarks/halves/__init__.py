"""The digits scenario in two halves: every other client, numbered anew."""

from federation.data.partition import OnDemand
from federation.data.samples import ClientData, Pool
from federation.opening import DataFunction, open_scenario
from federation.scenario import Scenario
from federation.settings import DataSettings
from scenarios.library.digits import SCENARIO

CLIENTS = 20
PARTS = 2


def half(part: int) -> tuple[Scenario, DataFunction]:
    """One half: its scenario, and the function that loads its clients; both halves have the same union test."""

    def load(settings: DataSettings, seed: int) -> Pool:
        whole = open_scenario("digits", {"seed": seed, "partition.clients": CLIENTS}).federation()

        def client(number: int) -> ClientData:
            return whole.clients[PARTS * number + part]

        return Pool(whole.task, client, whole.union_test)

    name = f"digits {part + 1} of {PARTS}"
    partition = OnDemand(clients=CLIENTS // PARTS)
    return SCENARIO.model_copy(update={"name": name, "title": name, "partition": partition}), load
