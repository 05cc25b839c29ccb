"""Trains one model for all clients, which learns what their models say together of inputs that the server holds."""

from pydantic import Field

from federation.phases.phase import GlobalTraining

HELD_OUT = "held_out"


class Feddf(GlobalTraining):
    """FedDF: FedAvg, whose mean model is then trained at the server to say what the clients' models say on average.

    The server needs inputs of the same kind, without labels. Source: Lin et al. (2020), algorithm 1.
    """

    public: str = Field(
        default=HELD_OUT,
        min_length=1,
        description="an npz file at the server whose x_public holds such inputs, in data.dir where its path is "
        f"relative; {HELD_OUT}: those that clients hold out, for a trial in which the server has all data",
    )
    epochs: int = Field(default=1, ge=1, description="visits of each of these inputs in a round")
    learning_rate: float = Field(
        default=0.05, gt=0, description="of the server's first step; a factor on the local one"
    )
