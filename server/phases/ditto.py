"""The global model between two rounds; the clients' own models never leave them."""

from server.global_model import GlobalModelTraining

SIDE = GlobalModelTraining()
