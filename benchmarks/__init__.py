"""asv's benchmarks: how long things take, and how far runs get, over the project's history."""
