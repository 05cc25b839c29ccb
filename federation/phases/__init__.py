"""The phases of federations, one a file. A new file here is found without being named anywhere."""

import pkgutil
from importlib import import_module

from federation.phases.phase import Phase, check_order, named

for _file in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")

__all__ = ["Phase", "check_order", "named"]
