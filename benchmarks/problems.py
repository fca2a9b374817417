"""What it costs to evaluate problems, stacked as in a grid of 16 settings and 25 seeds."""

import torch

from ravine.problems import problem

NAMES = ("sphere", "rosenbrock", "himmelblau", "rastrigin", "rotated_ellipsoid", "muller_brown")


class Evaluation:
    """A formula at 400 points."""

    params = (NAMES,)
    param_names = ("problem",)

    def setup(self, name: str) -> None:
        torch.set_num_threads(1)
        self.problem = problem(name)
        starts = torch.stack([self.problem.start(seed)["x"] for seed in range(25)])
        self.x = starts.expand(16, *starts.shape).clone().requires_grad_()
        self.data = self.problem.instance(range(25))

    def time_loss(self, name: str) -> None:
        with torch.no_grad():
            self.problem.loss({"x": self.x}, self.data)

    def time_gradient(self, name: str) -> None:
        loss = self.problem.loss({"x": self.x}, self.data)
        torch.autograd.grad(loss, self.x, torch.ones_like(loss))
