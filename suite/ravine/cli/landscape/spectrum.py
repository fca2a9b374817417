"""`ravine landscape spectrum`: eigenvalues, trace, density and layers of a curvature matrix."""

import time
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out, Seed, Split, Steps

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ravine.landscape.operators import Operator
    from ravine.landscape.spectrum.groups import Group
    from ravine.landscape.surface import Surface

Matrix = Literal["hessian", "gauss-newton", "fisher"]


def spectrum(
    problem: str,
    *,
    at: str = "start",
    matrix: Matrix = "hessian",
    top: int = 5,
    bottom: int = 3,
    density: Annotated[bool, Parameter(negative="")] = False,
    groups: Annotated[bool, Parameter(negative="")] = False,
    by: Literal["layer", "parameter"] = "layer",
    tol: float = 1e-3,
    products: int = 500,
    probes: int = 4,
    bandwidth: float | None = None,
    draws: int = 0,
    split: Split = "train",
    steps: Steps = None,
    examples: Examples = 2048,
    batch_norm: BatchNorm = "recomputed",
    seed: Seed = None,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Find eigenvalues of the Hessian at both ends, each with its residual, and the trace.

    A place is `start` (`start@3` for seed 3), an optimizer whose run ends there, as
    "sgd(lr=0.1)" or "adam(lr=0.001)@3", coordinates as 0.5,1 (after a minus --at=-1,1), or a
    state dict, weights.pt.

    Args:
        problem: Any id, or path/to/file.py:function.
        at: A place.
        matrix: hessian, gauss-newton, or the empirical fisher.
        top: Eigenvalues from the upper end.
        bottom: Eigenvalues from the lower end.
        density: Add how all eigenvalues are distributed, behind 10 and 5 outliers at least.
        groups: Add the ends and the trace of diagonal blocks.
        by: Whose blocks: each layer's, or each parameter's.
        tol: Residual over eigenvalue at which an eigenvalue has converged.
        products: With the matrix at most, for the eigenvalues and for each trace.
        probes: Random vectors of the density.
        bandwidth: Of the density's smoothing; 1% of the bulk's range if not given.
        draws: Seed of the random directions.
    """
    from functools import partial

    from ravine.cli.landscape.places import instance, locate
    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.sources import surface
    from ravine.landscape.spectrum.density import density as distribution
    from ravine.landscape.spectrum.groups import by_group, grouped
    from ravine.landscape.spectrum.lanczos import extreme
    from ravine.landscape.spectrum.trace import trace
    from ravine.landscape.surface import unpack
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape import spectrum as drawn

    chosen = build(problem)
    own = instance(chosen, [at], seed)
    source = partial(surface, chosen, seed=own, split=split, examples=examples)
    with working(out) as bar:
        ground = source()
        bar.begin(f"the way to {at}")
        x = locate(at, chosen, ground, steps, bar.advance)
        if batch_norm != "recomputed":
            ground = source(batch_norm=batch_norm, anchor=unpack(ground, x))
        operator = _operator(matrix, ground, x)
        names = grouped(operator.slices, by) if groups else {}
        took = _product_seconds(operator)
        # typical counts; eigenvalues within the bulk take more
        count = 100 + (200 + 80 * probes) * density + 80 * len(names)
        bar.begin("spectrum", took * count)
        pairs = extreme(operator, top, bottom, tol=tol, seed=draws, most=products)
        bar.advance(60 / count)
        whole = trace(operator, seed=draws, most=max(products, 32))
        bar.advance(100 / count)
        where = f"{chosen.name} at {at}"
        tables = {
            "": drawn.eigenvalue_table(pairs, where, ground.smooth),
            "trace": drawn.trace_table(whole, where),
        }
        figures = {"": drawn.eigenvalue_figure(pairs, where)}
        blocks: tuple[Group, ...] = ()
        curve = None
        if groups:
            blocks = by_group(
                operator,
                names,
                tol=tol,
                seed=draws,
                most=max(products, 32),
                listener=lambda share: bar.advance((100 + 80 * len(names) * share) / count),
            )
            tables["groups"] = drawn.group_table(blocks, where)
        if density:
            share_before = 1 - (200 + 80 * probes) / count
            curve = distribution(
                operator,
                largest=max(top, 10),
                smallest=max(bottom, 5),
                probes=probes,
                bandwidth=bandwidth,
                tol=tol,
                seed=draws,
                most=products,
                listener=lambda share: bar.advance(share_before + (1 - share_before) * share),
            )
            tables["moments"] = drawn.moment_table(curve, where)
            figures["density"] = drawn.density_figure(curve, where)
    records = {
        "problem": chosen.name,
        "at": at,
        "split": ground.split,
        "examples": ground.examples,
        "batch_norm": ground.batch_norm,
        **drawn.records(pairs, whole, curve, blocks),
    }
    name = f"spectrum-{chosen.name}-{at}" + ("" if matrix == "hessian" else f"-{matrix}")
    show(name, tables, figures, records, out, json)


def _operator(matrix: Matrix, ground: "Surface", x: "Float[Tensor, ' P']") -> "Operator":
    from ravine.landscape import operators

    match matrix:
        case "hessian":
            return operators.hessian(ground, x)
        case "gauss-newton":
            return operators.gauss_newton(ground, x)
        case "fisher":
            return operators.fisher(ground, x)


def _product_seconds(operator: "Operator") -> float:
    import torch

    v = torch.ones(operator.size, dtype=operator.dtype)
    operator(v)  # the first of a process is slow
    started = time.perf_counter()
    operator(v)
    return time.perf_counter() - started
