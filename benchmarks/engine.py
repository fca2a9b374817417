"""The engine: a small grid, the plain loop, and a stacked network."""

import torch

from ravine.engine.grid import run_grid
from ravine.engine.network_grid import run_network_grid
from ravine.engine.rows import Level
from ravine.engine.solo import solve
from ravine.optimizers import method, trials
from ravine.problems import problem


class Engine:
    """Runs through the engine; set-up is part of a run and is timed with it."""

    timeout = 300

    def setup(self) -> None:
        torch.set_num_threads(1)
        self.problems = [problem(name) for name in ("sphere", "rosenbrock", "himmelblau")]
        self.settings = [(s, Level.ELEMENTWISE) for s in trials(method("adam"), 16)]
        self.network = problem("mnist_softmax")
        run_network_grid(self.network, self.settings[:1], (0,), 1)

    def time_grid(self) -> None:
        run_grid(self.problems, self.settings, range(25), 50)

    def time_single_run(self) -> None:
        solve(self.problems[1], self.settings[4][0], 0, 200)

    def time_network_grid(self) -> None:
        run_network_grid(self.network, self.settings[4:12], range(4), 5)
