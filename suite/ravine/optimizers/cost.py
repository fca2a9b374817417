"""What a method holds in memory beside the parameters."""

from collections.abc import Iterator
from math import prod

import torch
from jaxtyping import Shaped
from torch import Tensor

from ravine.errors import Mismatch
from ravine.optimizers.base import Method, Setting
from ravine.optimizers.capabilities import capabilities, one_line, take, undisturbed
from ravine.optimizers.space import trials


def state_bytes_per_element(
    subject: Method | Setting, shape: tuple[int, ...], steps: int = 1
) -> float:
    """Count the bytes of optimizer state for each element of a float32 parameter.

    (bytes of all tensors in the state and the groups) / (elements of the parameter): 8 for
    Adam's two averages.  It counts neither gradients nor what a step frees again.

    Args:
        subject: a method at its default setting, or a setting.
        shape: of the parameter.
        steps: how many steps are taken first; a history grows with them.

    Returns:
        Bytes per element.

    Raises:
        Mismatch: the method cannot step on this shape.
    """
    setting = subject if isinstance(subject, Setting) else trials(subject, 1)[0]
    with undisturbed():
        try:
            optimizer, _ = take(setting, shape, capabilities(setting), steps)
        except Exception as error:
            raise Mismatch(
                f"`{setting.method.name}` cannot step on a parameter of shape {shape} "
                f"({one_line(error)}); choose another shape"
            ) from error
    parameters = {id(p) for group in optimizer.param_groups for p in group["params"]}
    held = {
        id(t): t.nbytes
        for part in _whole(optimizer)
        for t in _tensors([part.state, part.param_groups])
    }
    return sum(size for key, size in held.items() if key not in parameters) / prod(shape)


def _whole(optimizer: torch.optim.Optimizer) -> Iterator[torch.optim.Optimizer]:
    """An optimizer and all that it is made of."""
    yield optimizer
    for part in getattr(optimizer, "parts", ()):
        yield from _whole(part)


def _tensors(tree: object) -> Iterator[Shaped[Tensor, "..."]]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _tensors(value)
