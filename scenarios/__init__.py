"""Scenarios, one a file: a SCENARIO value and its data function `load`."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # else torch's waiting threads spin, and starve others
