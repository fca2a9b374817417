"""All critical points of Himmelblau's function from 1,000 random starts, in one stack."""

import time

import torch

from ravine.landscape.critical.search import Found, critical_points
from ravine.problems import problem
from ravine.reporting.landscape.critical import found_table
from ravine.reporting.layout import render

STARTS = 1000


class Himmelblau:
    """Nine points: found, merged and classified."""

    def setup(self) -> None:
        torch.set_num_threads(1)
        self.problem = problem("himmelblau")

    def time_critical_points(self) -> None:
        critical_points(self.problem, STARTS)

    def track_points(self) -> int:
        return len(critical_points(self.problem, STARTS).points)


def main() -> None:
    """Print the times of three searches, the first with its warm-up, and what was found."""
    torch.set_num_threads(1)
    chosen, seconds = problem("himmelblau"), []
    found: Found | None = None
    for _ in range(3):
        begin = time.perf_counter()
        found = critical_points(chosen, STARTS)
        seconds.append(time.perf_counter() - begin)
    assert found is not None
    print(render(found_table(found)))
    print(f"{len(found.points)} of 9 points in {', '.join(f'{s:.2f}' for s in seconds)} s")


if __name__ == "__main__":
    main()
