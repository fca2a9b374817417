"""The memory of an optimizer's state, against counts by hand."""

import pytest

from ravine.errors import Mismatch
from ravine.optimizers import method
from ravine.optimizers.cost import state_bytes_per_element

SHAPE = (64, 32)
SIZE = 64 * 32
COUNTER = 4 / SIZE  # torch keeps the number of steps as a float32 tensor


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("sgd", 0.0),
        ("heavy_ball", 4.0),
        ("adam", 8.0 + COUNTER),
        ("amsgrad", 12.0 + COUNTER),
        ("muon", 4.0),
        ("adafactor", 4 * (64 + 32) / SIZE + COUNTER),
        ("sparseadam", 8.0),
    ],
)
def test_known_states(id, expected):
    """Two averages are 8 bytes an element, a factored one is a row and a column."""
    assert state_bytes_per_element(method(id), SHAPE) == expected


def test_a_history_grows():
    """L-BFGS holds two more vectors and two more numbers for every step taken."""
    short, long = (state_bytes_per_element(method("lbfgs(lr=0.5)"), (50,), n) for n in (3, 6))
    assert long - short == pytest.approx(3 * (2 * 4 + 2 * 4 / 50))


def test_nested_state_is_counted_once():
    """A setting and its method cost the same; tensors held twice count once."""
    made = method("adam(lr=0.1)")
    assert state_bytes_per_element(made, (10,)) == (2 * 40 + 4) / 10


def test_a_shape_that_does_not_fit():
    """A vector for a matrix method is refused in one sentence with the remedy."""
    with pytest.raises(Mismatch, match=r"`muon` cannot step .* choose another shape") as caught:
        state_bytes_per_element(method("muon"), (5,))
    assert "\n" not in str(caught.value)
