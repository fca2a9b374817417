"""The engine: a small grid, the plain loop, and a stacked network; set-up is timed with it."""

from time import process_time

from benchmarks.profiles import chosen, marked

timer = process_time  # which other work on the machine disturbs least


class Grid:
    """Three formulas and sixteen rates of Adam over 50 steps."""

    params = (chosen().seeds,)
    param_names = ("seeds",)
    timeout = 300

    def setup(self, seeds: int) -> None:
        import torch

        from ravine.engine.grid import run_grid
        from ravine.engine.rows import Level
        from ravine.optimizers import method, trials
        from ravine.problems import problem

        torch.set_num_threads(1)
        self.run = run_grid
        self.problems = [problem(name) for name in ("sphere", "rosenbrock", "himmelblau")]
        self.settings = [(s, Level.ELEMENTWISE) for s in trials(method("adam"), 16)]

    @marked("seconds")
    def time_grid(self, seeds: int) -> None:
        self.run(self.problems, self.settings, range(seeds), 50)


class Solo:
    """One run in the plain loop."""

    def setup(self) -> None:
        import torch

        from ravine.engine.solo import solve
        from ravine.optimizers import method, trials
        from ravine.problems import problem

        torch.set_num_threads(1)
        self.solve, self.problem = solve, problem("rosenbrock")
        self.setting = trials(method("adam"), 16)[4]

    @marked("seconds")
    def time_single_run(self) -> None:
        self.solve(self.problem, self.setting, 0, 200)


class NetworkGrid:
    """Eight rates and four seeds of one network, as one stack."""

    timeout = 300

    def setup(self) -> None:
        import torch

        from ravine.engine.network_grid import run_network_grid
        from ravine.engine.rows import Level
        from ravine.optimizers import method, trials
        from ravine.problems import problem

        torch.set_num_threads(1)
        self.run, self.network = run_network_grid, problem("mnist_softmax")
        self.settings = [(s, Level.ELEMENTWISE) for s in trials(method("adam"), 16)[4:12]]
        self.run(self.network, self.settings[:1], (0,), 1)

    @marked("seconds")
    def time_network_grid(self) -> None:
        self.run(self.network, self.settings, range(4), 5)
