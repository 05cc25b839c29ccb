"""Fashion-MNIST as published: ten clients, labels shared out by Dirichlet(0.5), ten local epochs a round.

After 50 rounds Flower's baseline `niid_bench` has 88.09 (FedAvg) and 88.44 (SCAFFOLD). Its network, too, has two
convolutions of 6 and 16 channels, and fully connected layers after them; ours begins with a stride and has none.
Source: Li et al. (2022), Federated learning on non-IID data silos.
"""

from federation.data.partition import Dirichlet
from federation.models import Convnet
from federation.optimizers import Sgd
from federation.settings import DataSettings, LocalTraining, Search
from scenarios.library.fashion import SCENARIO as FASHION
from scenarios.library.fashion import load as load

SCENARIO = FASHION.model_copy(
    update={
        "name": "niid",
        "title": "Fashion-MNIST as in niid_bench: 10 clients, Dirichlet 0.5, ten local epochs",
        "data": DataSettings(),
        "partition": Dirichlet(clients=10, alpha=0.5),
        "held_out": 0.02,
        "model": Convnet(channels=(6, 16), blocks=0),
        "local": LocalTraining(
            learning_rate=0.01, optimizer=Sgd(momentum=0.9, weight_decay=1e-5), batch_size=64, epochs=10
        ),
        "search": Search(factors=(1.0,)),
    }
)
