"""Which settings are tried: properties of the grid and of the sequence."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ravine.errors import BadValue
from ravine.optimizers import Knob, Method, Scale, method, trials

LOG = st.builds(
    lambda low, ratio: Knob("lr", low, low * ratio), st.floats(1e-9, 10), st.floats(1.1, 1e9)
)
LINEAR = st.builds(
    lambda low, width: Knob("lr", low, low + width, Scale.LINEAR),
    st.floats(-10, 10),
    st.floats(0.1, 100),
)
COMPLEMENT = st.builds(
    lambda low, left: Knob("lr", low, 1 - left, Scale.COMPLEMENT),
    st.floats(0, 0.8),
    st.floats(1e-6, 0.1),
)


def tuned(*knobs):
    """A method with these knobs."""
    return Method("sgd", torch.optim.SGD, knobs)


@settings(deadline=None, max_examples=100)
@given(knob=LOG | LINEAR | COMPLEMENT, n=st.integers(2, 40))
def test_one_knob_is_a_grid(knob, n):
    """There are n distinct values in rising order, from the low end to the high end."""
    values = [dict(s.values)["lr"] for s in trials(tuned(knob), n)]
    assert len(values) == n
    assert values == sorted(set(values))
    assert (values[0], values[-1]) == (knob.low, knob.high)


@settings(deadline=None, max_examples=30)
@given(knobs=st.tuples(LOG, LINEAR, COMPLEMENT), n=st.integers(1, 32), data=st.data())
def test_several_knobs_are_nested(knobs, n, data):
    """There are n distinct settings within the box, the first k of which are the k trials."""
    named = [Knob(f"h{i}", k.low, k.high, k.scale) for i, k in enumerate(knobs)]
    found = trials(tuned(*named), n)
    assert len({s.name for s in found}) == n
    for setting in found:
        assert [name for name, _ in setting.values] == ["h0", "h1", "h2"]
        assert all(k.low <= v <= k.high for k, (_, v) in zip(named, setting.values, strict=True))
    k = data.draw(st.integers(1, n))
    assert trials(tuned(*named), k) == found[:k]


def test_the_grid_is_even_on_its_scale():
    """Log values have a constant ratio, and complements a constant ratio of 1 - value."""
    rates = [v for s in trials(method("adam"), 9) for _, v in s.values]
    assert rates == pytest.approx([10.0**k for k in range(-7, 2)], rel=1e-12)
    momenta = [v for s in trials(method("sgd(lr=1, momentum=tune)"), 4) for _, v in s.values]
    assert momenta == [0.0, 0.9, 0.99, 0.999]
    linear = [v for s in trials(tuned(Knob("lr", 1.0, 3.0, Scale.LINEAR)), 5) for _, v in s.values]
    assert linear == [1, 1.5, 2, 2.5, 3]


def test_values_have_six_digits():
    """Names stay short: what is not given by the user has at most 6 significant digits."""
    for setting in trials(method("adam"), 33):
        value = setting.values[0][1]
        assert value == float(f"{value:.6g}")


def test_one_trial_is_the_default():
    """A single trial is the constructor's default, or the middle of the range."""
    assert trials(method("adam"), 1)[0].values == (("lr", 0.001),)
    assert trials(method("lbfgs"), 1)[0].values == (("lr", 1.0),)
    assert trials(method("adam(lr=tune(0.01, 1))"), 1)[0].values == (("lr", 0.1),)
    assert trials(method("adam(weight_decay=tune)"), 1)[0].values == (
        ("lr", 0.001),
        ("weight_decay", 0.00316228),
    )


def test_no_knob_is_one_setting():
    """Nothing to tune, nothing to repeat."""
    assert [s.name for s in trials(method("adam(lr=0.1)"), 16)] == ["adam(lr=0.1)"]


def test_the_sequence_fills_the_box():
    """Of 64 trials of two knobs, every cell of a 4 x 4 split of the box holds two or more."""
    box = Knob("lr", 0.0, 1.0, Scale.LINEAR), Knob("momentum", 0.0, 1.0, Scale.LINEAR)
    counts = torch.zeros(4, 4)
    for setting in trials(tuned(*box), 64):
        (_, a), (_, b) = setting.values
        counts[min(int(4 * a), 3), min(int(4 * b), 3)] += 1
    assert counts.min() >= 2


@pytest.mark.parametrize(
    ("id", "n", "remedy"),
    [("adam", 0, "ask for more"), ("adam(lr=tune(1, 1.000001))", 16, "take fewer trials")],
)
def test_impossible_numbers_of_trials(id, n, remedy):
    """Too few or too many trials are refused in one sentence with the remedy."""
    with pytest.raises(BadValue) as caught:
        trials(method(id), n)
    assert remedy in str(caught.value)
    assert str(caught.value).startswith(f"`{id}`")
