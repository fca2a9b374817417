"""The monitor: what it sees is exact, and a loop that carries it trains the same bits."""

import gc
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ravine.engine.walk import walk
from ravine.errors import BadValue
from ravine.landscape.monitor import Look, Monitor, as_frame, descent, findings, log_spaced, watch
from ravine.landscape.surface import Part, Surface
from ravine.optimizers import Setting
from ravine.optimizers.catalogue import method
from ravine.problems import problem

torch.manual_seed(0)
X, Y = torch.randn(48, 4), torch.randint(3, (48,))


def formula(f: Callable[[torch.Tensor], torch.Tensor], size: int) -> Surface:
    """A loss over flat points `[*stack, size]`."""
    return Surface(
        name="formula",
        shapes={"x": (size,)},
        parts=(Part({}),),
        mean=lambda point, data, moments: f(point["x"]),
    )


@given(st.lists(st.floats(0.1, 5.0), min_size=1, max_size=5), st.floats(0.01, 1.0))
def test_on_a_quadratic_the_prediction_is_exact(h: list[float], rate: float) -> None:
    """Predicted and actual change agree to rounding; the flag is -eta g'g + eta^2 g'Hg/2 > 0."""
    matrix = torch.tensor(h, dtype=torch.float64)
    x = torch.ones(len(h), dtype=torch.float64)
    seen = descent(formula(lambda p: (matrix * p.square()).sum(-1) / 2, len(h)), x, rate)
    g = matrix
    assert seen.gg == pytest.approx((g @ g).item(), rel=1e-12)
    assert seen.ghg == pytest.approx((g @ (matrix * g)).item(), rel=1e-12)
    assert seen.curvature == pytest.approx(seen.ghg / seen.gg)
    assert seen.predicted == pytest.approx(seen.actual, rel=1e-12, abs=1e-12 * seen.loss)
    assert seen.sharpness == pytest.approx(max(h), rel=1e-9)
    assert seen.stability == pytest.approx(max(h) * rate / 2, rel=1e-9)
    assert seen.threshold == pytest.approx(2 / rate)
    assert seen.ill_conditioned == (seen.quadratic > -seen.linear)
    if max(h) * rate < 2:
        assert not seen.ill_conditioned
    if min(h) * rate > 2:
        assert seen.ill_conditioned


def test_what_a_cubic_adds_is_what_the_prediction_lacks() -> None:
    """On x^2/2 + x^3/6 at 1, actual less predicted is the third-order term (-eta g)^3 / 6."""
    cubic = formula(lambda p: (p.square() / 2 + p**3 / 6).sum(-1), 1)
    rate, g = 0.2, 1.5
    seen = descent(cubic, torch.ones(1, dtype=torch.float64), rate)
    assert seen.predicted == pytest.approx(-rate * g * g + rate**2 * g * 2 * g / 2, rel=1e-12)
    assert seen.actual - seen.predicted == pytest.approx(-((rate * g) ** 3) / 6, rel=1e-9)


def test_rates_of_groups_are_each_their_own() -> None:
    """With two rates the step is -Rg, and the prediction still exact on a quadratic."""
    h = torch.tensor([1.0, 3.0], dtype=torch.float64)
    bowl = formula(lambda p: (h * p.square()).sum(-1) / 2, 2)
    x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    seen = descent(bowl, x, torch.tensor([0.1, 0.3], dtype=torch.float64), previous=-x)
    moved = x - torch.tensor([0.1, 0.3], dtype=torch.float64) * h * x
    actual = (h * (moved.square() - x.square())).sum().item() / 2
    assert seen.actual == pytest.approx(actual, rel=1e-12)
    assert seen.predicted == pytest.approx(actual, rel=1e-12)
    assert seen.rate == 0.3
    assert seen.cosine == pytest.approx(-13 / math.sqrt(37 * 5), rel=1e-12)


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 3)
    )


Make = Callable[[nn.Module], torch.optim.Optimizer]
MAKERS: dict[str, Make] = {
    "momentum": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9),
    "groups": lambda m: torch.optim.SGD(
        [{"params": [p]} | ({"lr": 0.02} if p.dim() > 1 else {}) for p in m.parameters()], lr=0.1
    ),
    "adam": lambda m: torch.optim.Adam(m.parameters(), lr=0.01),
    "lbfgs": lambda m: torch.optim.LBFGS(m.parameters(), lr=0.5, max_iter=3),
}


def train(
    make: Make, monitored: bool, accumulate: int = 1, steps: int = 9
) -> tuple[nn.Module, list[float], Monitor | None]:
    """A user's own loop, with or without the monitor; it draws by torch and by NumPy."""
    model = net()
    optimizer = make(model)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    monitor = Monitor(model, optimizer, every=2) if monitored else None
    seen = []
    if monitor is not None:
        monitor.__enter__()
    for step in range(steps):

        def loss(step: int = step) -> torch.Tensor:
            rows = slice(16 * (step % 3), 16 * (step % 3) + 16)
            noise = np.random.random()  # noqa: NPY002
            return functional.cross_entropy(model(X[rows] + 0.01 * noise), Y[rows])

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            value = loss()
            value.backward()
            return value

        if monitor is not None:
            monitor.look(loss)
        if isinstance(optimizer, torch.optim.LBFGS):
            seen.append(optimizer.step(closure).item())
            continue
        optimizer.zero_grad()
        for _ in range(accumulate):
            if monitor is not None:
                monitor.look(loss)
            value = loss() / accumulate
            value.backward()
            seen.append(value.item())
        optimizer.step()
    if monitor is not None:
        monitor.__exit__(None, None, None)
    return model, seen, monitor


@pytest.mark.parametrize("name", MAKERS)
def test_a_loop_trains_the_same_bits_with_and_without_it(name: str) -> None:
    """Weights, running moments, gradients, losses and random states are equal bit for bit."""
    plain, losses, _ = train(MAKERS[name], monitored=False)
    states = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    carried, same, monitor = train(MAKERS[name], monitored=True)
    assert losses == same
    old, new = plain.state_dict(), carried.state_dict()
    assert all(torch.equal(old[n], new[n]) for n in old)
    for p, q in zip(plain.parameters(), carried.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002
    assert monitor is not None
    assert [look.step for look in monitor.looks] == [0, 2, 4, 6, 8]
    assert all(look.move is not None for look in monitor.looks)


def test_it_sees_the_very_loss_and_step_of_the_loop() -> None:
    """The loss has the loop's dropout masks; the plain gradient's own step is its move."""
    _, losses, monitor = train(lambda m: torch.optim.SGD(m.parameters(), lr=0.1), monitored=True)
    assert monitor is not None
    for look in monitor.looks:
        assert look.gradient.loss == pytest.approx(losses[look.step], rel=1e-6)
        assert look.move is not None
        assert look.move.descent == pytest.approx(1.0, abs=1e-6)
        assert look.move.length == pytest.approx(0.1 * math.sqrt(look.gradient.gg), rel=1e-5)
        assert look.move.actual == pytest.approx(look.gradient.actual, abs=1e-6)
        assert look.move.predicted == pytest.approx(look.gradient.predicted, abs=1e-6)


def test_the_rates_and_thresholds_are_the_optimizers() -> None:
    """(2 + 2b)/eta with momentum, divided by 1 + 2b with Nesterov's, none for Adam."""

    def first(make: Make) -> Look:
        monitor = train(make, monitored=True, steps=1)[2]
        assert monitor is not None
        return monitor.looks[0]

    heavy = first(MAKERS["momentum"]).gradient
    assert (heavy.rate, heavy.threshold) == (0.1, pytest.approx(38.0))
    nesterov = first(
        lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    ).gradient
    assert nesterov.threshold == pytest.approx(38.0 / 2.8)
    adam = first(MAKERS["adam"]).gradient
    assert adam.rate == 0.01
    assert math.isnan(adam.threshold)
    groups = first(MAKERS["groups"])
    assert groups.gradient.rate == 0.1
    assert groups.move is not None
    assert groups.move.actual == pytest.approx(groups.gradient.actual, abs=1e-6)


def test_accumulated_gradients_are_one_step() -> None:
    """Only the first look before a step counts; the weights are those without a monitor."""
    make = MAKERS["momentum"]
    plain, _, _ = train(make, monitored=False, accumulate=3)
    carried, _, monitor = train(make, monitored=True, accumulate=3)
    assert monitor is not None
    assert [look.step for look in monitor.looks] == [0, 2, 4, 6, 8]
    assert all(
        torch.equal(p, q) for p, q in zip(plain.parameters(), carried.parameters(), strict=True)
    )


def test_a_loop_without_an_optimizer_steps_within_a_look() -> None:
    """A hand-written update is seen as the move, and steps are counted by looks."""
    line = nn.Linear(2, 1, bias=False).double()
    inputs, targets = torch.eye(2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)

    def loss() -> torch.Tensor:
        return functional.mse_loss(line(inputs), targets)

    with Monitor(line, rate=0.5, every=log_spaced(3)) as monitor:
        for _ in range(10):
            with monitor.around(loss):
                (slope,) = torch.autograd.grad(loss(), line.weight)
                with torch.no_grad():
                    line.weight -= 0.5 * slope
    assert [look.step for look in monitor.looks] == [0, 2, 4, 9]
    for look in monitor.looks:
        assert look.move is not None
        assert look.move.actual == pytest.approx(look.gradient.actual, rel=1e-9)
        assert look.gradient.sharpness == pytest.approx(1.0)
    frame = as_frame(monitor.looks)
    assert frame["move_predicted"].to_list() == pytest.approx(frame["actual"].to_list(), rel=1e-9)
    assert frame.height == 4
    assert 0 < monitor.overhead < 1


def test_parameters_that_are_frozen_or_tied_are_counted_once_or_not() -> None:
    """A frozen layer is no coordinate, a tied weight is one; both train as they would."""
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    fixed = nn.Linear(3, 3)
    fixed.requires_grad_(False)
    model = nn.Sequential(first, nn.Tanh(), fixed, second)
    sgd = torch.optim.SGD([first.weight], lr=0.1)
    inputs = torch.randn(6, 3)

    def loss() -> torch.Tensor:
        return model(inputs).square().mean()

    expected = torch.autograd.grad(loss(), first.weight)[0].double().square().sum().item()
    with Monitor(model, sgd, every=1) as monitor:
        monitor.look(loss)
    assert monitor.looks[0].gradient.gg == pytest.approx(expected, rel=1e-6)
    assert monitor.looks[0].move is None
    assert second.weight is first.weight


def test_sharpness_may_have_a_schedule_of_its_own() -> None:
    """It is computed at the looks that are also on its own schedule, and NaN at others."""
    model = net()
    sgd = torch.optim.SGD(model.parameters(), lr=0.01)
    for sharp, expected in ((False, []), (4, [0, 4]), (True, [0, 2, 4])):
        with Monitor(model, sgd, every=2, sharp=sharp) as monitor:
            for _ in range(6):
                monitor.look(lambda: functional.cross_entropy(model(X), Y))
                sgd.step()
        known = [k.step for k in monitor.looks if not math.isnan(k.gradient.sharpness)]
        assert known == expected
        assert findings(monitor.looks).looks == 3


def test_memory_stays_flat_and_nothing_of_a_look_is_kept() -> None:
    """After forty looks there are as many live tensors as after two."""
    model = net()
    sgd = torch.optim.SGD(model.parameters(), lr=0.01)
    counts = []
    with Monitor(model, sgd, every=1, sharp=False) as monitor:
        for step in range(40):
            monitor.look(lambda: functional.cross_entropy(model(X), Y))
            sgd.zero_grad()
            functional.cross_entropy(model(X), Y).backward()
            sgd.step()
            if step in (1, 39):
                gc.collect()
                counts.append(sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects()))
    assert counts[0] == counts[1]
    assert len(monitor.looks) == 40


def test_what_cannot_be_looked_at_is_refused_in_one_sentence() -> None:
    """No rate, no entering, no loss, no dependence, no parameters; the loop's model stays whole."""
    model = net()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(BadValue, match="give the optimizer, or `rate`"):
        Monitor(model)
    with pytest.raises(BadValue, match="`every` must be"):
        Monitor(model, sgd, every=0)
    with pytest.raises(BadValue, match="has not begun"):
        Monitor(model, sgd).look(lambda: model(X).mean())
    for closure, said in (
        (lambda: 1.0, "got float"),
        (lambda: model(X), r"got shape \[48, 3\]"),
        (lambda: X.mean(), "does not depend on the module"),
        (lambda: model(X).mean().detach(), "does not depend on the module"),
    ):
        with Monitor(model, sgd) as monitor, pytest.raises(BadValue, match=said):
            monitor.look(closure)
    with Monitor(nn.Tanh(), sgd) as monitor, pytest.raises(BadValue, match="nothing to monitor"):
        monitor.look(lambda: X.mean())
    assert all(torch.equal(kept[n], t) for n, t in model.state_dict().items())
    assert not sgd._optimizer_step_post_hooks


def test_a_loss_that_is_not_a_number_is_recorded_and_stops_nothing() -> None:
    """The loop goes on; the record has NaN, and the sharpness no number."""
    model = net()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, sgd, every=1) as monitor:
        monitor.look(lambda: model(X).mean() * math.nan)
        sgd.step()
    seen = monitor.looks[0].gradient
    assert math.isnan(seen.loss)
    assert math.isnan(seen.sharpness)
    assert not seen.ill_conditioned


@pytest.mark.parametrize("id", ["gaussian_noise", "mnist_mlp(widths=(8,), activation=tanh)"])
def test_a_run_of_the_catalogue_is_the_plain_loops(id: str) -> None:
    """Watched or not, a run ends at the same point bit for bit; losses are the batches'."""
    source = problem(id)
    for name in ("sgd(lr=0.05, momentum=0.9)", "sam(sgd, lr=0.05)"):
        setting = Setting(method(name))
        watched = watch(source, setting, 3, 12, every=4)
        way = walk(source, setting, 3, 12, keep=(0, 4, 8))
        assert torch.equal(watched.end, way.end)
        assert [watched.losses[step] for step in (0, 4, 8)] == list(way.losses[:3])
        assert [look.step for look in watched.looks] == [0, 4, 8]
        assert [look.gradient.loss for look in watched.looks] == pytest.approx(way.losses[:3])


@pytest.mark.slow
def test_gradient_descent_settles_at_the_edge_of_stability() -> None:
    """Twenty Chebyshev points, 1-100-1 tanh, rate 0.4: sharpness rises to 2/eta and stays.

    Median of sharpness over 2/eta in the second half within [0.95, 1.06], below 0.8 at the
    start; at rate 0.02 it stays below 0.5.  Seeds are fixed, hence no false alarms.
    """
    x = torch.cos(math.pi * (torch.arange(20, dtype=torch.float64) + 0.5) / 20)[:, None]
    y = 8 * x**4 - 8 * x**2 + 1
    for rate, steps in ((0.4, 10_000), (0.02, 2_000)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 100), nn.Tanh(), nn.Linear(100, 1)).double()
        nn.init.xavier_uniform_(model[0].weight, gain=1.9)
        nn.init.zeros_(model[0].bias)
        nn.init.zeros_(model[2].bias)
        gd = torch.optim.SGD(model.parameters(), lr=rate)

        def loss(model: nn.Module = model) -> torch.Tensor:
            return (model(x) - y).square().mean() / 2

        losses = []
        with Monitor(model, gd, every=steps // 50) as monitor:
            for _ in range(steps):
                monitor.look(loss)
                gd.zero_grad(set_to_none=True)
                value = loss()
                value.backward()
                losses.append(value.item())
                gd.step()
        ratios = [look.gradient.stability for look in monitor.looks]
        settled = sorted(ratios[25:])[12]
        rises = sum(b > a for a, b in pairwise(losses)) / steps
        assert all(look.gradient.converged for look in monitor.looks)
        if rate == 0.4:
            assert 0.95 < settled < 1.06
            assert ratios[0] < 0.8
            assert rises > 0.1
            assert losses[-1] < 0.5 * losses[0]
        else:
            assert settled < 0.5
            assert rises == 0
