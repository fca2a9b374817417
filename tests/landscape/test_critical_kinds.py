"""Signs of eigenvalues decide what a critical point is."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.landscape.critical.kinds import Label, kinds
from ravine.problems import Kind


def test_signs_decide() -> None:
    """Every combination of signs has its label; one negative suffices beside zeros."""
    rows = {
        (1.0, 2.0, 3.0): (Label.MINIMUM, 0, 0),
        (-1.0, -2.0, -3.0): (Label.MAXIMUM, 3, 0),
        (-1.0, 0.0, 3.0): (Label.SADDLE, 1, 1),
        (-1.0, -1.0, 3.0): (Label.SADDLE, 2, 0),
        (0.0, 0.0, 3.0): (Label.DEGENERATE, 0, 2),
        (-1.0, 0.0, 0.0): (Label.DEGENERATE, 1, 2),
        (0.0, 0.0, 0.0): (Label.DEGENERATE, 0, 3),
        (1.0, torch.nan, 1.0): (Label.NOT_CRITICAL, 0, 0),
    }
    labels, index, nullity = kinds(torch.tensor(list(rows)), torch.full((len(rows),), 1e-3))
    assert list(zip(labels, index.tolist(), nullity.tolist(), strict=True)) == [*rows.values()]


def test_labels_are_the_kinds_of_the_catalogue() -> None:
    """A label equals the kind that the facts of a problem state."""
    assert {str(kind) for kind in Kind} < {str(label) for label in Label}


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=5),
    st.floats(0, 0.5),
)
def test_order_and_sign(values: list[float], tau: float) -> None:
    """Order does not matter, and a turn upside down swaps minimum and maximum alone."""
    swapped = {Label.MINIMUM: Label.MAXIMUM, Label.MAXIMUM: Label.MINIMUM}
    x, tolerance = torch.tensor(values, dtype=torch.float64), torch.tensor(tau, dtype=torch.float64)
    label, index, nullity = kinds(x, tolerance)
    opposite, other, zeros = kinds(-x.flip(0), tolerance)
    assert str(opposite) == swapped.get(Label(str(label)), str(label))
    assert nullity == zeros
    assert index + nullity + other == len(values)
