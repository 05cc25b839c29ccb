"""A Ray cluster of two nodes, one of which is lost in mid-round; a script, for each process has one Ray only.

Prints a line of JSON: on how many nodes the workers were, the undisturbed round, the disturbed one, and one
thereafter.
"""

import json
import threading
import time

import ray
from ray.cluster_utils import Cluster

from clients.app import serve_cohort
from federation.engine import Here
from federation.engine.workers import RayWorkers
from tests.apps import troubled
from tests.parity.test_workers import first_round

YOUNG = 120.0
"""Seconds after which a node must be known to the other one; until then actors meant for it are started elsewhere."""


def _node(_: object) -> str:
    return str(ray.get_runtime_context().get_node_id())


def main() -> None:
    """Run and print."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    nodes: list[str] = []
    until = time.monotonic() + YOUNG
    while len(set(nodes)) < 2 and time.monotonic() < until:
        time.sleep(0.5)
        workers = RayWorkers(troubled, 2, address=cluster.address)
        nodes = [ray.get(actor.__ray_call__.remote(_node)) for actor in workers._actors]
    timer = threading.Timer(0.5, cluster.remove_node, (second,), {"allow_graceful": False})
    timer.start()
    disturbed = first_round(workers, "slow")
    timer.join()
    left = sum(node["Alive"] for node in ray.nodes())
    again = first_round(workers, "slow")
    undisturbed = first_round(Here(serve_cohort))
    print(
        json.dumps(
            {
                "workers": len(nodes),
                "nodes": len(set(nodes)),
                "left": left,
                "disturbed": disturbed,
                "undisturbed": undisturbed,
                "again": again,
            }
        )
    )
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
