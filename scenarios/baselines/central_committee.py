"""Several small monoliths that vote: what of the world model's lead is a committee's, and what is its regions'."""

from federation.data.samples import Samples
from federation.learning.experts import Expert
from federation.models import ElasticFamily
from federation.models.cost import Cost
from federation.tasks import Task
from federation.tensors import Parameters, stacked
from scenarios.baselines.central import descended, shown
from scenarios.baselines.contract import Answer, Contender, Method, Trial, training_flops


class CentralCommittee(Method):
    """As many members as an expert may have, which together have as many parameters as one query runs."""

    name, title = "central_committee", "committee of monoliths on pooled data, equal active parameters"

    def absent(self, trial: Trial) -> str:
        return "" if trial.scenario.experts.members > 1 else "the experts are no committees; see experts.members"

    def run(self, trial: Trial) -> Contender:
        task, scenario, members = trial.task, trial.scenario, trial.scenario.experts.members
        family = trial.sized(lambda size: size.active_parameters // members)
        pooled = Samples.concatenated([client.train for client in trial.federation.clients])
        names = [f"{self.name} {member}" for member in range(members)]
        apart = [descended(trial, family, task, shown(trial, pooled, name), task.objective, name) for name in names]
        answer, curve = trial.followed(_together(family, models, task) for models in zip(*apart, strict=True))
        one, visits = Cost.of(family, task), trial.rounds * scenario.local.epochs * len(pooled)
        flops = members * training_flops(family.multiplies(task) * visits)
        return Contender(answer, one.times(members), training_flops=flops, curve=curve)


def _together(family: ElasticFamily, models: tuple[Parameters, ...], task: Task) -> Answer:
    committee = Expert(stacked(list(models)))
    return lambda inputs, clients: committee.answers(family, task, inputs)


CENTRAL_COMMITTEE = CentralCommittee()
