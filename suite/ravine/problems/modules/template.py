"""A user's module as a pure function of its parameters."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.parameter import is_lazy

from ravine.errors import BadValue
from ravine.problems.modules.regime import Place, Regime

Numbers = dict[str, Shaped[Tensor, "..."]]
"""Tensors of a module by name."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Template:
    """A module without numbers of its own, and what it needs beside its parameters.

    Constants are buffers and parameters that are not trained.  Those of `own` differ from
    seed to seed, as a random embedding does; the others are shared by all seeds.

    Args:
        factory: makes the module.
        module: a copy that nobody else holds.  Its numbers are NaN, so that whatever does
            not come in as an argument is seen in the loss.
        shapes: of the trained parameters, by name.
        shared: constants that do not depend on the seed.
        own: shapes of the constants that do.
        place: where the module's batch-normalisation layers say their name.
    """

    factory: Callable[[], nn.Module]
    module: nn.Module
    shapes: Mapping[str, tuple[int, ...]]
    shared: Numbers
    own: Mapping[str, tuple[int, ...]]
    place: Place

    @property
    def name(self) -> str:
        """The module's class, for messages."""
        return type(self.module).__name__

    def draw(self, seed: int) -> tuple[Numbers, Numbers]:
        """The parameters that a seed starts from, and its own constants."""
        parameters, constants = _numbers(_made(self.factory, seed))
        return parameters, {name: constants[name] for name in self.own}

    def __call__(
        self, numbers: Numbers, inputs: Shaped[Tensor, "..."], regime: Regime, training: bool
    ) -> Any:
        """Whatever the module returns for a batch of inputs.

        Args:
            numbers: all parameters and constants.
            inputs: `[batch, *example]`; the module may change them.
            regime: how batch normalisation and dropout are done.
            training: in `train()` mode, else in `eval()` mode.
        """
        if self.module.training is not training:
            self.module.train(training)
        with regime:
            return torch.func.functional_call(self.module, numbers, (inputs,))


def template(factory: Callable[[], nn.Module]) -> Template:
    """Take a module apart, without changing it.

    Args:
        factory: makes the module; called several times.

    Raises:
        BadValue: it makes no module that can be trained, or another one each time.
    """
    if not callable(factory) or isinstance(factory, nn.Module):
        raise BadValue(
            f"`module_factory` must be a function that makes the module, got a "
            f"{type(factory).__name__}; write `lambda: ...` or give its class"
        )
    first, again, other = (_made(factory, seed) for seed in (0, 0, 1))
    name = type(first).__name__
    lazy = [n for n, t in (*first.named_parameters(), *first.named_buffers()) if is_lazy(t)]
    if lazy:
        raise BadValue(
            f"`{name}` has lazy parameters, such as `{lazy[0]}`; call it once with an example "
            f"in the factory, or give its sizes"
        )
    (parameters, constants), second, third = map(_numbers, (first, again, other))
    if not parameters:
        raise BadValue(f"`{name}` has no parameters to train; set requires_grad=True on some")
    odd = [n for n, p in parameters.items() if not p.is_floating_point()]
    if odd:
        raise BadValue(
            f"`{name}` has the parameter `{odd[0]}` of {parameters[odd[0]].dtype}; make "
            f"it of real numbers"
        )
    drawn = {**second[0], **second[1]}
    if not all(_same(t, drawn.get(n)) for n, t in (*parameters.items(), *constants.items())):
        raise BadValue(
            f"`{name}` starts from other numbers each time its factory is called with one seed; "
            f"draw them by torch, or make a generator with a fixed seed in the factory"
        )
    own = {n: tuple(t.shape) for n, t in constants.items() if not _same(t, third[1].get(n))}
    place = Place()
    return Template(
        factory=factory,
        module=_emptied(_private(again, first), place),
        shapes={n: tuple(p.shape) for n, p in parameters.items()},
        shared={n: t for n, t in constants.items() if n not in own},
        own=own,
        place=place,
    )


def _made(factory: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = factory()
        except Exception as error:
            raise BadValue(
                f"`module_factory` fails: {line(error)}; it is called without arguments and "
                f"must return a torch.nn.Module"
            ) from error
    if not isinstance(module, nn.Module):
        raise BadValue(
            f"`module_factory` must return a torch.nn.Module, got {module!r}; return the module"
        )
    return module


def _numbers(module: nn.Module) -> tuple[Numbers, Numbers]:
    """Copies of the trained parameters, and of all else."""
    parameters: Numbers = {}
    constants: Numbers = {}
    for name, p in module.named_parameters():
        (parameters if p.requires_grad else constants)[name] = p.detach().cpu().clone()
    # a count of batches would be added to in place; nothing reads it
    counts = {id(m.num_batches_tracked) for m in module.modules() if isinstance(m, _NormBase)}
    for name, b in module.named_buffers():
        if id(b) not in counts:
            constants[name] = b.detach().cpu().clone()
    return parameters, constants


def _same(one: Tensor, two: Tensor | None) -> bool:
    return two is not None and torch.equal(one.nan_to_num(), two.nan_to_num())


def _private(module: nn.Module, other: nn.Module) -> nn.Module:
    """The module, or a copy of it if the factory has handed parts of it out twice."""

    def parts(m: nn.Module) -> set[int]:
        return {id(part) for part in (*m.modules(), *m.parameters(), *m.buffers())}

    if not parts(module) & parts(other):
        return module
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise BadValue(
            f"`{type(module).__name__}` cannot be copied: {line(error)}; make a new one at "
            f"every call of the factory"
        ) from error


def _emptied(module: nn.Module, place: Place) -> nn.Module:
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            # of one element: the shape is kept, the memory is not
            tensor.data = torch.full((), torch.nan, dtype=tensor.dtype).expand(tensor.shape)
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm):
            part.register_forward_pre_hook(partial(_say, place, name))
        if isinstance(part, _NormBase):
            part.num_batches_tracked = None
    return module


def _say(place: Place, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
    del module, args
    place.name = name


def line(error: Exception) -> str:
    """An error of the user's own code in one line."""
    return f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0].rstrip(".")
