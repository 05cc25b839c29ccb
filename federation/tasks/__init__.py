"""Tasks, one a file. To add one: a file here with a subclass of `Task`."""

from federation.rules import import_all
from federation.tasks.classification import Classification
from federation.tasks.regression import LEAST_VARIANCE, Regression
from federation.tasks.task import Task, finite

import_all(__name__, __path__)

__all__ = ["LEAST_VARIANCE", "Classification", "Regression", "Task", "finite"]
