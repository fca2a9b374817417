"""The one place that says whether a problem and a method can be paired."""

from ravine.optimizers.base import Method
from ravine.optimizers.capabilities import capabilities
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
        'it needs every parameter to be a matrix'
        >>> mismatch(problem("sphere"), method("adam")) is None
        True
    """
    able = capabilities(method)
    if able.reason:
        return able.reason
    if able.sparse_only and not problem.traits.sparse:
        return "it needs sparse gradients"
    if able.matrix_only and any(len(shape) != 2 for shape in problem.shapes.values()):
        return "it needs every parameter to be a matrix"
    if able.closure and problem.traits.lag:
        return "it evaluates the loss inside its step, where a delayed gradient has no meaning"
    return None
