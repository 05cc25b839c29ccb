"""Flower messages can be made only by a process with a task identity: the one place that gives it."""

from flwr.supercore.task_identity import TaskIdentity

RUN, TASK, SERVER_NODE = 1, 1, 1


def assume_identity() -> None:
    """Let this process make messages, as the server of a run of its own."""
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = RUN, TASK, SERVER_NODE
