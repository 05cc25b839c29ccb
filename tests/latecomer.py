"""A scenario for tests: four clients hold the digits 0 to 7, a fifth alone holds 8 and 9."""

import numpy as np

from federation.data.partition import Natural
from federation.data.samples import Dataset
from federation.settings import DataSettings
from scenarios.library.digits import SCENARIO as DIGITS
from scenarios.library.digits import load as digits

PATH = __file__
SCENARIO = DIGITS.model_copy(update={"name": "latecomer", "partition": Natural()})


def load(settings: DataSettings, seed: int) -> Dataset:
    """The digits; whose they are is in `group`."""
    whole = digits(settings, seed)
    owner = np.where(whole.train.targets >= 8, 4, np.arange(len(whole.train)) % 4)
    tested = np.where(whole.test.targets >= 8, 4, np.arange(len(whole.test)) % 4)
    return Dataset(whole.task, whole.train, whole.test, group=owner, test_group=tested)
