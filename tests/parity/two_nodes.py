"""A Ray cluster of two nodes, one of which is lost in mid-round; a script, for each process has one Ray only.

Prints a line of JSON: on how many nodes the workers were, the undisturbed round, and the disturbed one.
"""

import json
import threading

import ray
from ray.cluster_utils import Cluster

from clients.app import serve_cohort
from federation.engine import Here
from federation.engine.workers import RayWorkers
from tests.apps import slow
from tests.parity.test_workers import first_round, model


def main() -> None:
    """Run and print."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    workers = RayWorkers(slow, address=cluster.address)
    actors = workers._actors
    nodes = ray.get([actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()) for actor in actors])
    timer = threading.Timer(0.5, cluster.remove_node, (second,), {"allow_graceful": False})
    timer.start()
    disturbed = first_round(workers)
    timer.join()
    left = sum(node["Alive"] for node in ray.nodes())
    whole = {name: tensor.tolist() for name, tensor in model(RayWorkers(serve_cohort, 2))[0].items()}
    same = whole == {name: tensor.tolist() for name, tensor in model(Here(serve_cohort))[0].items()}
    undisturbed = first_round(Here(serve_cohort))
    print(
        json.dumps(
            {
                "workers": len(nodes),
                "nodes": len(set(nodes)),
                "left": left,
                "disturbed": disturbed,
                "undisturbed": undisturbed,
                "same": same,
            }
        )
    )
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
