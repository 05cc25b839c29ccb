"""The same as `own`, by the name that it had when npz files were all that it read."""

from scenarios.library.own import SCENARIO as OWN
from scenarios.library.own import load as load
from scenarios.library.own import suited as suited

SCENARIO = OWN.model_copy(update={"name": "npz", "title": "Your own npz file"})
