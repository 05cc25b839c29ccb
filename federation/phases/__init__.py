"""The phases of federations, one a file. A new file here is found without being named anywhere."""

from federation.phases.phase import Kept, Phase, check_order, named
from federation.rules import import_all

import_all(__name__, __path__)

__all__ = ["Kept", "Phase", "check_order", "named"]
