"""Solutions of networks with more parameters than residuals."""

import torch
from torch import nn
from torch.func import jacrev

from ravine.experiments.liao_2017.solving import DEGREE, Power, descend, errors, network, start
from ravine.landscape.surface import loss
from ravine.problems.draws import generator


def drawn(*shape: int) -> torch.Tensor:
    """Numbers that stay the same."""
    return torch.from_numpy(generator("liao", *shape).standard_normal(shape))


def test_errors_are_the_modules_own() -> None:
    """Outputs of torch's modules minus targets, example by example in some order.

    Half their mean square is the loss.
    """
    x, y = drawn(5, 3), drawn(5, 2)
    ground, module = network(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), x, y)
    point = torch.cat([p.detach().flatten() for p in module.parameters()])
    own = (module(x) - y).detach().flatten()
    found = errors(module, ground, point)
    torch.testing.assert_close(found.sort().values, own.sort().values, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(loss(ground, point), own.square().mean() / 2, rtol=1e-12, atol=0.0)


def test_a_linear_model_is_solved_by_the_shortest_way() -> None:
    """With more weights than examples the end is the start plus the pseudo-inverse's step."""
    x, y = drawn(4, 9), drawn(4, 1)
    ground, module = network(nn.Linear(9, 1, bias=False), x, y)
    begin = start(module, 3)
    wanted = begin + torch.linalg.pinv(x) @ (y[:, 0] - x @ begin)
    torch.testing.assert_close(descend(module, ground, begin), wanted, rtol=0, atol=1e-10)


def test_a_polynomial_network_has_the_rank_of_its_degree() -> None:
    """Outputs at many points depend on as many numbers as a polynomial of degree 6 has, 7."""
    x = torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None]
    module = nn.Sequential(nn.Linear(1, 50), Power(), nn.Linear(50, 1, bias=False))
    ground, module = network(module, x, torch.zeros(12, 1, dtype=torch.float64))
    jacobian = jacrev(lambda p: errors(module, ground, p))(start(module, 0))
    assert torch.linalg.matrix_rank(jacobian, rtol=1e-12) == DEGREE + 1
