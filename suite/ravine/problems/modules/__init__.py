"""A user's own `torch.nn.Module` as a problem, stacked where torch can vectorise it."""

from ravine.problems.modules.module import ModuleProblem

__all__ = ["ModuleProblem"]
