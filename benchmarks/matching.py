"""What matching two networks costs: the trace with its check, and the two matchers."""

import torch

from ravine.landscape.sources import surface
from ravine.landscape.surface import pack
from ravine.landscape.symmetry.matching import match_activations, match_weights
from ravine.landscape.symmetry.networks import groups
from ravine.problems import problem


class Matching:
    """A perceptron of two hidden layers on 500 images."""

    params = (64, 256)
    param_names = ("width",)

    def setup(self, width: int) -> None:
        torch.set_num_threads(1)
        self.network = problem(f"mnist_mlp(widths=({width}, {width}))")
        self.surface = surface(self.network, examples=500)
        self.groups = groups(self.network)
        self.a, self.b = (pack(self.surface, self.network.start(seed)) for seed in (0, 1))

    def time_groups(self, width: int) -> None:
        groups(self.network)

    def time_weights(self, width: int) -> None:
        match_weights(self.groups, self.a, self.b, restarts=1)

    def time_activations(self, width: int) -> None:
        match_activations(self.groups, self.surface, self.a, self.b)
