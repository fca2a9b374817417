"""The one place that says whether a problem and a method can be paired."""

from ravine.optimizers.assembly import refusal
from ravine.optimizers.base import Method
from ravine.optimizers.capabilities import capabilities
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem


def mismatch(problem: Problem, method: Method) -> str | None:
    """Say why a method cannot run on a problem.

    Args:
        problem: what would be minimised.
        method: what would minimise it.

    Returns:
        The reason, as the end of the sentence "left out: ..."; None if they can be paired.

    Example:
        >>> from ravine import method, problem
        >>> mismatch(problem("sphere"), method("muon"))
        'it needs a parameter that is a matrix'
        >>> mismatch(problem("sphere"), method("adam")) is None
        True
    """
    able = capabilities(method)
    if able.reason:
        return able.reason
    if able.single_only and isinstance(problem, Analytic):
        return "it cannot step in double precision, in which formulas are run"
    if able.matrix_only and all(len(shape) != 2 for shape in problem.shapes.values()):
        return "it needs a parameter that is a matrix"
    if able.closure and problem.traits.lag:
        return "it evaluates the loss inside its step, where a delayed gradient has no meaning"
    if able.graph and problem.traits.lag:
        return "it differentiates the gradient, where a delayed gradient has no meaning"
    return refusal(method, tuple(problem.shapes.values()))
