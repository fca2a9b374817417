"""What it costs to evaluate problems, stacked as in a grid of 16 settings and 25 seeds."""

from time import process_time

from benchmarks.profiles import chosen, marked

timer = process_time  # which other work on the machine disturbs least


class Evaluation:
    """A formula at 400 points."""

    params = (chosen().problems,)
    param_names = ("problem",)

    def setup(self, name: str) -> None:
        import torch

        from ravine.problems import problem

        torch.set_num_threads(1)
        self.torch = torch
        self.problem = problem(name)
        starts = torch.stack([self.problem.start(seed)["x"] for seed in range(25)])
        self.x = starts.expand(16, *starts.shape).clone().requires_grad_()
        self.data = self.problem.instance(range(25))

    @marked("seconds")
    def time_loss(self, name: str) -> None:
        with self.torch.no_grad():
            self.problem.loss({"x": self.x}, self.data)

    @marked("seconds")
    def time_gradient(self, name: str) -> None:
        loss = self.problem.loss({"x": self.x}, self.data)
        self.torch.autograd.grad(loss, self.x, self.torch.ones_like(loss))
