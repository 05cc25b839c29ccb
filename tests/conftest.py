"""What all tests share: shapes and types are checked at run time, examples are the same on every run."""

import logging
import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

PACKAGES = ("federation", "clients", "server", "scenarios")

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/federation must not pass for the package federation
imported = [name for name in PACKAGES if name in sys.modules]
if imported:
    raise RuntimeError(f"{', '.join(imported)} imported before the type checker was installed")
install_import_hook(list(PACKAGES), "typechecker.checked")

torch.set_num_threads(2)

settings.register_profile("manifold", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("manifold")


@pytest.fixture(scope="session", autouse=True)
def _quiet_flower() -> None:
    """Flower narrates every round; it sets its logger up when it is imported, so this comes after."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
