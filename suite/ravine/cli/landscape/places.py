"""Where on a surface: the grammar of places that all landscape commands share.

start            where the runs of seed 0 begin; start@3 for another seed
sgd(lr=0.1)      where this optimizer ends; sgd(lr=0.1)@3 for another seed
0.5,1            coordinates
weights.pt       a state dict that torch.save has written
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.walk import walk
from ravine.errors import BadValue
from ravine.landscape.surface import Surface, pack
from ravine.optimizers import Setting
from ravine.optimizers.catalogue import method
from ravine.problems.base import Problem

_SEEDED = re.compile(r"(?P<what>.*?)(@(?P<seed>\d+))?$", re.DOTALL)
_NUMBERS = re.compile(r"\s*[-+]?(\d|\.\d|inf|nan).*")


def locate(
    place: str,
    problem: Problem,
    surface: Surface,
    steps: int | None = None,
    listener: Callable[[float], None] = lambda share: None,
) -> Float[Tensor, " P"]:
    """The flat point that a place names.

    Args:
        place: see the module.
        problem: whose start and runs are meant.
        surface: the point is one of its points.
        steps: of a run to an optimizer's end; the problem's budget by default.
        listener: told the share of the run that is done.

    Raises:
        BadValue: the place cannot be read, lies elsewhere, or its run diverged.
        UnknownName: no such optimizer.
    """
    if place.endswith((".pt", ".pth")):
        return _from_file(Path(place), surface)
    if _NUMBERS.fullmatch(place):
        return numbers(place, surface)
    what, seed = split(place)
    if what == "start":
        return pack(surface, {n: p.detach() for n, p in problem.start(seed).items()})
    gone = walk(problem, setting(what), seed, steps, keep=(), listener=listener)
    if gone.diverged is not None:
        raise BadValue(
            f"`{what}` diverges on `{problem.name}` at step {gone.diverged}; give a smaller lr"
        )
    return gone.end


def split(place: str) -> tuple[str, int]:
    """A place as what it names and the seed behind `@`, 0 by default.

    Example:
        >>> split("sgd(lr=0.1)@3"), split("start")
        (('sgd(lr=0.1)', 3), ('start', 0))
    """
    found = _SEEDED.match(place)
    assert found is not None
    return found["what"], int(found["seed"] or 0)


def runs(place: str) -> bool:
    """Whether a place is the start or the end of a run, and so has a seed.

    Example:
        >>> runs("sgd(lr=0.1)@3"), runs("start"), runs("0.5,1"), runs("weights.pt")
        (True, True, False, False)
    """
    written = place.strip().endswith((".pt", ".pth")) or _NUMBERS.fullmatch(place) is not None
    return not written


def instance(problem: Problem, places: Sequence[str], seed: int | None) -> int | None:
    """The seed of the instance of a formula that all places are on.

    A run is on the instance of its own seed, with its shift and rotation; coordinates are
    the formula's own where no run is beside them.

    Args:
        problem: a formula, or a network, whose seed only orders its examples.
        places: all that are looked at together.
        seed: the one that was asked for.

    Raises:
        BadValue: the places are on several instances.
    """
    if hasattr(problem, "supply") or not problem.instance([0]):
        return seed
    seeds = {split(place)[1] for place in places if runs(place)}
    seeds |= set() if seed is None else {seed}
    if len(seeds) > 1:
        raise BadValue(
            f"seeds {', '.join(map(str, sorted(seeds)))} are on as many instances of "
            f"`{problem.name}`, with no common ground; name one seed, --seed included"
        )
    return next(iter(seeds), None)


def setting(id: str) -> Setting:
    """An optimizer with every hyperparameter fixed.

    Raises:
        BadValue: something of it would be tuned.
        UnknownName: no such optimizer.
    """
    named = method(id)
    if named.knobs:
        missing = ", ".join(f"{knob.name}=0.01" for knob in named.knobs)
        raise BadValue(
            f"`{id}` leaves {', '.join(k.name for k in named.knobs)} to be tuned; fix it, as in "
            f"`{named.name.removesuffix(')')}{', ' if '(' in named.name else '('}{missing})`"
        )
    return Setting(named)


def numbers(text: str, surface: Surface) -> Float[Tensor, " P"]:
    """Coordinates from `0.5,1`, in the dtype of the surface.

    Raises:
        BadValue: they cannot be read, are not finite, or are not as many as the surface has.
    """
    try:
        values = [float(word) for word in re.split(r"[,\s]+", text.strip(" ,()[]"))]
    except ValueError:
        raise BadValue(f"`{text}` is no list of numbers; write them as 0.5,1") from None
    x = torch.tensor(values, dtype=surface.dtype)
    if not bool(x.isfinite().all()):
        raise BadValue(f"`{text}` must be finite numbers; give such")
    if len(x) != surface.size:
        raise BadValue(
            f"a point of `{surface.name}` has {surface.size} coordinates, got {len(x)} in "
            f"`{text}`; give as many"
        )
    return x


def _from_file(path: Path, surface: Surface) -> Float[Tensor, " P"]:
    if not path.is_file():
        raise BadValue(f"no file `{path}`; give a state dict that torch.save has written")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        point = {name: held[name] for name in surface.shapes if name in held}
    except Exception as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise BadValue(
            f"`{path}` cannot be read as a state dict ({said}); write one by "
            f"torch.save(model.state_dict(), path)"
        ) from None
    return pack(surface, point)
