"""The top eigenvalues of a network's Hessian, timed beside PyHessian where it is installed.

    python benchmarks/spectrum.py

A 784-64-64-10 tanh network is trained for 200 steps of Adam; then its top 5 eigenpairs over
2,000 MNIST images are found to residuals of 1e-3, in turns with PyHessian 0.1 (pip install
PyHessian==0.1 --no-deps) on the same weights and images.  Costs are in processor seconds of
one thread, which other work on the machine disturbs least, and in gradients of the same loss,
timed between the runs.  PyHessian stops when two successive estimates differ by 1e-3 of
themselves, and does not look for copies of multiple eigenvalues; ours is timed with that search
and without.  PyHessian's residuals are computed afterwards, untimed.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ravine.engine.walk import walk
from ravine.landscape.operators import Operator, asymmetry, fisher, gauss_newton, hessian
from ravine.landscape.sources import surface
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.surface import Surface, gradient, unpack
from ravine.optimizers import Setting, method
from ravine.problems import problem

NETWORK = "mnist_mlp(widths=(64, 64), activation=tanh)"


def trained(steps: int, examples: int) -> tuple[Surface, Float[Tensor, " P"]]:
    """The network's loss over some images, and where Adam ends."""
    net = problem(NETWORK)
    ground = surface(net, examples=examples)
    return ground, walk(net, Setting(method("adam"), (("lr", 1e-3),)), 0, steps, keep=()).end


def as_module(ground: Surface, x: Float[Tensor, " P"]) -> nn.Module:
    """The same network of torch's own layers."""
    module = nn.Sequential(
        nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10)
    )
    with torch.no_grad():
        for own, given in zip(module.parameters(), unpack(ground, x).values(), strict=True):
            own.copy_(given)
    return module


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, for one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def typical(work: Callable[[], object], repeats: int = 15) -> float:
    """The median of some calls, after one that is not timed."""
    work()
    return statistics.median(seconds(work) for _ in range(repeats))


def products(ground: Surface, x: Float[Tensor, " P"]) -> None:
    """Print what a product costs, that it is symmetric, and that nothing is left behind."""
    v = torch.ones_like(x)
    once = typical(lambda: gradient(ground, x))
    print(f"gradient: {once * 1e3:.1f} ms")
    for build in (hessian, gauss_newton, fisher):
        operator = build(ground, x)
        cost = typical(lambda operator=operator: operator(v)) / once
        print(f"{operator.name}: a product costs {cost:.2f} gradients, ", end="")
        print(f"|u'Hv - v'Hu| <= {asymmetry(operator):.1e} (|u||Hv| + |v||Hu|)")
    operator = hessian(ground, x)
    held = []
    for i in range(101):
        operator(v)
        if i in (0, 100):
            gc.collect()
            tensors = (o for o in gc.get_objects() if issubclass(type(o), torch.Tensor))
            held.append(sum(o.numel() * o.element_size() for o in tensors))
    print(f"live tensors after 1 and 101 products: {held[0]:,} and {held[1]:,} bytes")


def theirs(module: nn.Module, ground: Surface) -> tuple[list[float], Float[Tensor, "k P"]]:
    """The top 5 by PyHessian, with its settings as they come and 1e-3."""
    import pyhessian

    data = ground.parts[0].data
    found = pyhessian.hessian(
        module, nn.CrossEntropyLoss(), data=(data["inputs"], data["targets"]), cuda=False
    )
    values, vectors = found.eigenvalues(maxIter=100, tol=1e-3, top_n=5)
    module.zero_grad(set_to_none=True)  # its backward pass leaves a graph behind
    return values, torch.stack([torch.cat([p.flatten() for p in v]) for v in vectors])


def told(who: str, values: list[float], vectors: Float[Tensor, "k P"], operator: Operator) -> None:
    """Print values with relative residuals, as they were returned."""
    rests = operator(vectors) - torch.tensor(values)[:, None] * vectors
    shares = rests.norm(dim=-1) / torch.tensor(values).abs()
    told = ", ".join(f"{v:.4f} ({s:.0e})" for v, s in zip(values, shares.tolist(), strict=True))
    print(f"  {who}: {told}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, in turns")
    parser.add_argument("--steps", type=int, default=200, help="of training")
    parser.add_argument("--examples", type=int, default=2000, help="images")
    parser.add_argument("--tol", type=float, default=1e-3, help="relative residual")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)  # PyHessian draws from torch's own generator
    ground, x = trained(asked.steps, asked.examples)
    print(f"{NETWORK}, {ground.size:,} parameters, {ground.examples:,} images, one thread")
    products(ground, x)
    peer = find_spec("pyhessian") is not None
    module = as_module(ground, x)
    ours_took, short_took, theirs_took, once = [], [], [], []
    for seed in range(asked.repeats):
        once.append(typical(lambda: gradient(ground, x), 5))
        started = time.process_time()
        # the graph of the gradient is part of the work
        found = extreme(hessian(ground, x), 5, tol=asked.tol, seed=seed)
        ours_took.append(time.process_time() - started)
        started = time.process_time()
        extreme(hessian(ground, x), 5, tol=asked.tol, seed=seed, confirm=0)
        short_took.append(time.process_time() - started)
        print(f"seed {seed}: values (residual over value)")
        told(
            f"ours, {found.products} products",
            list(found.values),
            found.vectors,
            hessian(ground, x),
        )
        if not all(found.converged):
            print(f"  ours did not converge: {found.note}")
        if peer:
            started = time.process_time()
            values, vectors = theirs(module, ground)
            theirs_took.append(time.process_time() - started)
            told("PyHessian", values, vectors, hessian(ground, x))
    grads = [t / g for t, g in zip(ours_took, once, strict=True)]
    print(
        f"ours: median {statistics.median(ours_took):.2f} s, {statistics.median(grads):.0f} "
        f"gradients ({min(grads):.0f} to {max(grads):.0f})"
    )
    if not peer:
        print("PyHessian is not installed; pip install PyHessian==0.1 --no-deps")
        return
    print(f"PyHessian: median {statistics.median(theirs_took):.2f} s")
    for who, took in (("ours", ours_took), ("ours without looking for copies", short_took)):
        ratios = [b / a for a, b in zip(took, theirs_took, strict=True)]
        print(
            f"PyHessian / {who}: median {statistics.median(ratios):.2f} of {len(ratios)} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
