"""A resumed deployment knows by a digest what each client's data were when the run began."""

import pytest

from federation.opening import open_run, run_config
from federation.rules import InputError
from scenarios.deployment.operator import Run
from scenarios.deployment.submission import RunFailedError, judge
from server.checkpoint import Checkpoint, Checkpoints
from server.roster import OtherDataError, Roster
from server.state import initial

OPENED = open_run(run_config("digits", {}, 0))


def test_other_data_than_a_checkpoint_s_end_the_run_and_equal_ones_do_not(tmp_path):
    task = OPENED.federation().task
    began = Roster(OPENED.scenario, 3)
    began.counted(1, 20.0, "one")
    checkpoints = Checkpoints(tmp_path, OPENED.scenario)
    checkpoints.write(Checkpoint(initial(OPENED.scenario, task), data=began.data))
    resumed = Roster(OPENED.scenario, 3)
    resumed.data = dict(checkpoints.read().data)
    resumed.counted(1, 20.0, "one")
    with pytest.raises(OtherDataError, match="client 1 has other data than when the run began; give them back"):
        resumed.counted(1, 20.0, "another")


def test_a_client_s_digest_follows_its_samples():
    one, other = OPENED.federation().clients[:2]
    again = open_run(run_config("digits", {}, 0)).federation().clients[0]
    assert one.digest == again.digest != other.digest


def test_a_run_that_ends_for_its_input_is_an_input_error_and_no_failure():
    failed = Run(1, "finished:failed", "ServerApp failed with exception: client 1 has other data")
    with pytest.raises(InputError, match=r"^client 1 has other data$"):
        judge(failed, ["round 1", "refused: client 1 has other data"])
    with pytest.raises(RunFailedError):
        judge(failed, ["round 1"])
