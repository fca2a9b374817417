"""How runs with and without batch normalisation are compared."""

import numpy as np
import pytest

from ravine.engine.walk import Walk, walk
from ravine.engine.walks import walks
from ravine.experiments.running import network, only
from ravine.experiments.santurkar_2018 import RATE, ratios
from ravine.landscape.smoothness import MEASURES, Path, Smoothness, smoothness_along


def test_ratios_compare_seed_by_seed() -> None:
    """The median over a run of the one over that of the other, or the first of each."""

    def path(ranges: list[float]) -> Path:
        measures = tuple(Smoothness((0.1,), 1.0, 1.0, (0.0, r), (r,)) for r in ranges)
        return Path("p", "s", 0, 0.1, "", tuple(range(len(ranges))), measures)

    paths = {
        "plain": [path([1.0, 2.0, 4.0]), path([8.0, 8.0, 8.0])],
        "norm": [path([3.0, 1.0, 1.0])] * 2,
    }
    assert ratios(paths, "loss_range") == [0.5, 0.125]
    assert ratios(paths, "predictiveness", first=True) == [3.0, 0.375]


def test_a_run_of_a_stack_is_as_smooth_as_the_same_run_alone() -> None:
    """Kept points of a stack and of a plain walk give the same measures."""
    net = network("deep_mlp(depth=3,width=6,norm=batch,batch=16)")
    setting, marks = only(f"sgd(lr={RATE})"), (0, 3, 6)
    alone = walk(net, setting, 1, 6, keep=marks)
    kept = walks(net, [setting], [0, 1], 6, keep=marks).points[0, 1]
    way = Walk(net.name, setting.name, 1, marks, kept, (np.nan,) * 3)
    one, other = (smoothness_along(net, each, RATE, count=3) for each in (alone, way))
    for a, b in zip(one.measures, other.measures, strict=True):
        assert [getattr(a, name) for name in MEASURES] == pytest.approx(
            [getattr(b, name) for name in MEASURES], rel=1e-3
        )
