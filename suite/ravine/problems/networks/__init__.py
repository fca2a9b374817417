"""Networks: a model, a supply of examples and a criterion make a problem."""

from ravine.problems.networks.network import Network

__all__ = ["Network"]
