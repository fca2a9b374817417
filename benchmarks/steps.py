"""What a step of an optimizer costs, whatever it minimises."""

import torch

from ravine.optimizers import method, trials
from ravine.optimizers.assembly import assemble
from ravine.optimizers.cost import state_bytes_per_element

METHODS = ("sgd", "heavy_ball", "adam", "adamw", "rmsprop", "adagrad", "nadam", "adafactor")
SIZES = (1_000, 100_000)


class Step:
    """One step on one tensor."""

    params = (METHODS, SIZES)
    param_names = ("method", "elements")

    def setup(self, name: str, elements: int) -> None:
        torch.set_num_threads(1)
        make = torch.Generator().manual_seed(0)
        tensor = torch.randn(elements, generator=make).requires_grad_()
        tensor.grad = torch.randn(elements, generator=make)
        self.optimizer = assemble(trials(method(name), 1)[0], [tensor])
        self.optimizer.step()

    def time_step(self, name: str, elements: int) -> None:
        self.optimizer.step()


class State:
    """Memory that a method holds for each parameter."""

    params = (METHODS,)
    param_names = ("method",)
    unit = "bytes"
    version = "1"

    def track_state_bytes(self, name: str) -> float:
        return state_bytes_per_element(method(name), (128, 784))
