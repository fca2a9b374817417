"""What it costs to look at the ground under a network, on 500 images and one thread."""

from time import process_time

from benchmarks.profiles import chosen, marked, since_it_exists

timer = process_time  # which other work on the machine disturbs least

EXAMPLES = 500
CELLS = 11


class Ground:
    """A perceptron where its run begins."""

    params = (chosen().networks,)
    param_names = ("network",)
    timeout = 300

    @since_it_exists()
    def setup(self, name: str) -> None:
        import torch

        from ravine.landscape.operators import hessian
        from ravine.landscape.planes.directions import random
        from ravine.landscape.planes.plane import centred, plane
        from ravine.landscape.sources import surface
        from ravine.landscape.surface import pack
        from ravine.problems import problem

        torch.set_num_threads(1)
        network = problem(name)
        self.surface = surface(network, examples=EXAMPLES)
        self.x = pack(self.surface, network.start(0))
        self.operator, self.v = hessian(self.surface, self.x), torch.ones_like(self.x)
        self.operator(self.v)
        ways = random(self.surface, self.x)
        self.plane, self.u, self.w = plane, ways.u, ways.v
        self.line = centred(1.0, CELLS)

    @marked("seconds")
    def time_hvp(self, name: str) -> None:
        self.operator(self.v)

    @marked("seconds")
    def time_plane(self, name: str) -> None:
        self.plane(self.surface, self.x, self.u, self.w, self.line, self.line)
