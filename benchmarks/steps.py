"""What a step of an optimizer costs in time and memory, whatever it minimises."""

from time import process_time

from benchmarks.profiles import chosen, marked

timer = process_time  # which other work on the machine disturbs least

PROFILE = chosen()

LARGE = 4_000_000
"""Elements of a tensor, 16 MB, before which the memory of the interpreter is not all."""


class Step:
    """One step on one tensor."""

    params = (PROFILE.methods, PROFILE.elements)
    param_names = ("method", "elements")

    def setup(self, name: str, elements: int) -> None:
        self.optimizer = _ready(name, elements)

    @marked("seconds")
    def time_step(self, name: str, elements: int) -> None:
        self.optimizer.step()


class Memory:
    """The peak of the whole process in a step; the interpreter and torch are part of it."""

    params = (PROFILE.methods, (LARGE,))
    param_names = ("method", "elements")

    @marked("bytes")
    def peakmem_step(self, name: str, elements: int) -> None:
        _ready(name, elements).step()


def _ready(name: str, elements: int):  # type: ignore[no-untyped-def]
    """An optimizer that has taken a step."""
    import torch

    from ravine.optimizers import method, trials

    torch.set_num_threads(1)
    make = torch.Generator().manual_seed(0)
    tensor = torch.randn(elements, generator=make).requires_grad_()
    tensor.grad = torch.randn(elements, generator=make)
    setting = trials(method(name), 1)[0]
    try:
        from ravine.optimizers.assembly import assemble
    except ModuleNotFoundError:  # versions before the adapter, which the history reaches back to
        optimizer = setting.optimizer([tensor])
    else:
        optimizer = assemble(setting, [tensor])
    optimizer.step()
    return optimizer
