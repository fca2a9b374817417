"""Masks of dropout: right on average, independent, and a function of their key alone.

Masks are fixed, so a test either always passes or never; each states the chance that masks
of ideal coins would fail it.
"""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import Tensor
from torch.nn import functional

from ravine.problems.modules.dropout import _mix, bits, kept, keys
from ravine.problems.modules.regime import Place, Regime

COUNT = 2**18
SIGMAS = 5.0
"""Deviations allowed to a count; ideal coins exceed them with probability 5.7e-7."""

KEY = keys([0], 0)[0]
X = torch.randn(64, 8, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def within(count: float, n: int, p: float) -> bool:
    """Whether a count of successes is within `SIGMAS` of its mean."""
    return abs(count - n * p) <= SIGMAS * math.sqrt(n * p * (1 - p))


@given(st.integers(-(2**31), 2**31 - 1))
def test_the_hash_is_lowbias32(x: int) -> None:
    """The arithmetic of int32 tensors is that of whole numbers modulo 2^32."""
    word = x % 2**32
    word = (word ^ word >> 16) * 0x7FEB352D % 2**32
    word = (word ^ word >> 15) * 0x846CA68B % 2**32
    word ^= word >> 16
    found = _mix(torch.full((9,), x, dtype=torch.int32))
    assert (found.long() % 2**32).tolist() == [word] * 9


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_the_rate_is_right(p: float) -> None:
    """The share of dropped elements is p; ideal coins fail with probability 4 x 5.7e-7."""
    assert within(float((~kept(KEY, 0, (COUNT,), p)).sum()), COUNT, p)


def test_nothing_and_everything_can_be_dropped() -> None:
    """Rates of 0 and 1 are exact."""
    assert kept(KEY, 0, (COUNT,), 0.0).all()
    assert not kept(KEY, 0, (COUNT,), 1.0).any()


@pytest.mark.parametrize("place", [0, 1, 7])
def test_every_byte_is_uniform(place: int) -> None:
    """A chi-squared test of 256 bins for each of four bytes, at 1e-7 each (12e-7 in all)."""
    words = bits(KEY, place, (COUNT,)).long()
    for shift in (0, 8, 16, 24):
        counts = torch.bincount((words >> shift) & 255, minlength=256).double()
        statistic = float(((counts - COUNT / 256) ** 2 / (COUNT / 256)).sum())
        assert statistic < chi2.isf(1e-7, 255)


def test_masks_of_other_seeds_steps_and_places_are_independent() -> None:
    """Any two masks agree on half of their elements; ideal coins fail in 28 x 5.7e-7."""
    every = [
        kept(keys([seed], step)[0], place, (COUNT,), 0.5)
        for seed in (0, 1)
        for step in (0, 1)
        for place in (0, 1)
    ]
    for one, two in combinations(every, 2):
        assert within(float((one == two).sum()), COUNT, 0.5)


@pytest.mark.parametrize("lag", [1, 2, 3, 8, 64, 128, 784, 1024])
def test_elements_of_a_mask_are_independent(lag: int) -> None:
    """Elements at a distance agree in half of all cases; ideal coins fail in 8 x 5.7e-7."""
    mask = kept(KEY, 0, (COUNT + lag,), 0.5)
    assert within(float((mask[lag:] == mask[:-lag]).sum()), COUNT, 0.5)


def test_an_element_is_dropped_independently_over_steps() -> None:
    """One place over 1,024 steps: its rate, and its agreement with the next step (2 x 5.7e-7)."""
    steps = 1024
    over = torch.stack([kept(keys([3], step)[0], 2, (5,), 0.5)[4] for step in range(steps + 1)])
    assert within(float(over[1:].sum()), steps, 0.5)
    assert within(float((over[1:] == over[:-1]).sum()), steps, 0.5)


def regime(*, dropping: bool = True) -> Regime:
    """A regime that drops by a fixed key."""
    return Regime(Place(), key=KEY if dropping else None)


@pytest.mark.parametrize(
    ("name", "dims", "leading"),
    [
        ("dropout", 4, 4),
        ("dropout1d", 2, 1),
        ("dropout1d", 3, 2),
        ("dropout2d", 4, 2),
        ("dropout3d", 4, 1),
    ],
)
def test_what_is_dropped_together(name: str, dims: int, leading: int) -> None:
    """Elements or whole channels are 0 or divided by 1 - p, as torch's documentation says."""
    x = X[(0,) * (4 - dims)]
    with regime():
        found = getattr(functional, name)(x, 0.25, True)
    mask = kept(KEY, 0, x.shape[:leading], 0.25).view(*x.shape[:leading], *[1] * (dims - leading))
    torch.testing.assert_close(found, torch.where(mask, x / 0.75, 0.0))
    assert 0 < mask.sum() < mask.numel()


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_and_variance(name: str) -> None:
    """Only torch's own two maps of an element occur, and the moments stay as they were.

    Mean and variance of standard uniform inputs, dropped in 5,120 draws or more, move by less
    than 5 deviations; ideal coins fail with probability 2 x 5.7e-7 at most.
    """
    make = torch.Generator().manual_seed(1)
    x = (2 * torch.rand(64, 80, 4, 1, generator=make, dtype=torch.float64) - 1) * math.sqrt(3)
    with regime():
        found = getattr(functional, name)(x, 0.2, True)
    n = 64 * 80  # independent draws, whatever is dropped together
    spread = [float(v.std()) for v in (found - x, found**2 - x**2)]
    assert abs(found.mean() - x.mean()) < SIGMAS * spread[0] / math.sqrt(n)
    assert abs((found**2).mean() - (x**2).mean()) < SIGMAS * spread[1] / math.sqrt(n)
    torch.manual_seed(0)
    theirs = getattr(functional, name)(x, 0.2, True)
    low = float(theirs.min())
    assert float(found.min()) == pytest.approx(low, rel=1e-12)
    ours = found != found.min()
    same = ours & (theirs != theirs.min())
    torch.testing.assert_close(found[same], theirs[same])
    assert 0.7 < float(ours.double().mean()) < 0.9


def test_a_place_is_a_call_and_evaluation_drops_nothing() -> None:
    """Two calls of a pass differ, two passes do not; without training or key nothing drops."""
    with regime():
        first, second = functional.dropout(X, 0.5, True), functional.dropout(X, 0.5, True)
    with regime():
        again = functional.dropout(X, 0.5, True)
        assert torch.equal(functional.dropout(X, 0.5, False), X)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    inplace = X.clone()
    with regime():
        functional.dropout(inplace, 0.5, True, inplace=True)
    assert torch.equal(inplace, first)
    with regime(), pytest.raises(ValueError, match="between 0 and 1"):
        functional.dropout(X, 1.5, True)


@pytest.mark.parametrize(
    ("causal", "mask"), [(False, None), (True, None), (False, "bool"), (False, "float")]
)
def test_attention_is_torchs_own_but_for_its_masks(causal: bool, mask: str | None) -> None:
    """With a rate that drops nothing it is torch's attention; else its weights are dropped."""
    query, key, value = X[:, :4], X[:, :2], X[:, 2:4]
    allowed = torch.rand(6, 6, generator=torch.Generator().manual_seed(2)) < 0.7
    allowed.fill_diagonal_(True)
    given: Tensor | None = None
    if mask:
        given = allowed if mask == "bool" else torch.where(allowed, 0.5, -2.0).double()
    more = {"attn_mask": given, "is_causal": causal, "scale": 0.3, "enable_gqa": True}
    wanted = functional.scaled_dot_product_attention(query, key, value, **more)
    with regime():
        found = functional.scaled_dot_product_attention(query, key, value, dropout_p=1e-12, **more)
    torch.testing.assert_close(found, wanted)
    with regime():
        dropped = functional.scaled_dot_product_attention(query, key, value, dropout_p=0.5, **more)
    ones = torch.eye(6, dtype=torch.float64).expand(64, 2, 6, 6)
    weights = functional.scaled_dot_product_attention(query, key, ones, **more)
    by_hand = weights * kept(KEY, 0, weights.shape, 0.5) / 0.5
    torch.testing.assert_close(dropped, by_hand @ value.repeat_interleave(2, 1))
