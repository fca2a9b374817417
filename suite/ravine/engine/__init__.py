"""How it runs: plans cut into tasks, stacked grids, and the plain loop they are held to."""
