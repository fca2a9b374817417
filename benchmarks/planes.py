"""A plane of a small network on MNIST, beside loss-landscapes where that is installed.

Run as a program it measures both in one process, alternating, and compares every cell:

    python -m benchmarks.planes

The peer (loss-landscapes 3.0.6) walks along its rows and steps before it evaluates, forth on
even rows and back on odd ones, so that its rows are shifted by one cell in turn.  Its
directions are taken as they are, and its values are compared with ours at the coordinates
that it really visits.
"""

import copy
import statistics
import time
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from ravine import problem
from ravine.landscape.planes.directions import random
from ravine.landscape.planes.plane import Plane, centred, plane
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import Surface, pack, unpack

ID = "mnist_mlp(widths=(64, 64), activation=tanh)"
EXAMPLES = 2_000
POINTS = 51
WAYS = ("shared", "plain")


class Planes:
    """A filter-normalised plane of 51 x 51 cells, 784-64-64-10, 2,000 images."""

    params = WAYS
    param_names = ("way",)
    timeout = 300

    def setup(self, way: str) -> None:
        torch.set_num_threads(1)
        shape = problem(ID)
        self.surface = surface(shape, examples=EXAMPLES)
        self.centre = pack(self.surface, shape.start(0))
        self.way = way

    def time_plane(self, way: str) -> None:
        sides = random(self.surface, self.centre)
        axis = centred(1.0, POINTS)
        plane(self.surface, self.centre, sides.u, sides.v, axis, axis, way=self.way)


def module_of(ground: Surface, x: Tensor) -> nn.Module:
    """The same network as torch's own layers."""
    point = unpack(ground, x)
    layers: list[nn.Module] = []
    for i in range(3):
        rows, columns = point[f"{i}.weight"].shape
        layer = nn.Linear(columns, rows)
        layer.weight.data, layer.bias.data = point[f"{i}.weight"], point[f"{i}.bias"]
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def peer_steps(module: nn.Module, seed: int) -> tuple[Tensor, Tensor]:
    """The two vectors by which loss-landscapes steps from cell to cell, for a seed."""
    import loss_landscapes.main as peer

    torch.manual_seed(seed)
    start = peer.wrap_model(copy.deepcopy(module)).get_module_parameters()
    one = peer.rand_u_like(start)
    two = peer.orthogonal_to(one)
    for direction in (one, two):
        direction.filter_normalize_(start)
        direction.mul_(start.model_norm() / POINTS / direction.model_norm())
    return tuple(torch.cat([p.flatten() for p in d.parameters]) for d in (one, two))  # type: ignore[return-value]


def visited(ours: Plane) -> Float64[np.ndarray, "i j"]:
    """Our values at the cells of the peer's walk, from a plane with one more column.

    It begins at -steps / 2 and goes through its rows forth and back, stepping first.
    """
    cells = np.empty((POINTS, POINTS))
    for i in range(POINTS):
        cells[i] = ours.loss[i, 1:] if i % 2 == 0 else ours.loss[i, :-1]
    return cells


def compare(repetitions: int = 3) -> dict[str, Any]:
    """Seconds of one thread, of ours and the peer's in turn, and the largest difference."""
    import loss_landscapes
    from loss_landscapes.metrics import Loss

    # one thread, and its own time, so that what else the machine does counts little
    torch.set_num_threads(1)
    shape = problem(ID)
    ground = surface(shape, examples=EXAMPLES)
    centre = pack(ground, shape.start(0))
    module = module_of(ground, centre)
    data = ground.parts[0].data
    users, here = module_surface(
        module, (data["inputs"], data["targets"]), nn.functional.cross_entropy
    )
    assert torch.equal(here, centre)
    one, two = peer_steps(module, 0)
    # the peer's first direction leads from row to row
    steps = np.arange(POINTS + 1) - POINTS / 2
    metric = Loss(nn.CrossEntropyLoss(), data["inputs"], data["targets"])
    axis = centred(POINTS / 2, POINTS)
    seconds: dict[str, list[float]] = {
        name: [] for name in ("peer", "catalogue", "module", "plain")
    }
    walked = plane(ground, centre, two, one, steps, steps[:-1])
    for _ in range(repetitions):
        began = time.process_time()
        torch.manual_seed(0)
        with torch.no_grad():
            theirs = loss_landscapes.random_plane(
                copy.deepcopy(module), metric, distance=1, steps=POINTS, normalization="filter"
            )
        seconds["peer"].append(time.process_time() - began)
        for name, what, way in (
            ("catalogue", ground, "auto"),
            ("module", users, "auto"),
            ("plain", ground, "plain"),
        ):
            began = time.process_time()
            plane(what, centre, two, one, axis, axis, way=way)  # type: ignore[arg-type]
            seconds[name].append(time.process_time() - began)
    return {
        "seconds": {name: statistics.median(s) for name, s in seconds.items()},
        "times faster": {
            name: statistics.median(p / s for p, s in zip(seconds["peer"], own, strict=True))
            for name, own in seconds.items()
        },
        "largest difference": float(np.abs(visited(walked) - theirs).max()),
        "loss": (float(theirs.min()), float(theirs.max())),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    for name, value in compare().items():
        print(name, value)
