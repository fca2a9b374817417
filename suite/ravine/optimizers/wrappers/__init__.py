"""Methods made of a method: `lookahead(adamw)`, `warmup(cosine(clip(sgd)))`, in any nesting.

- `lookahead`, `sharpness`, `averaging`, `clipping`: a wrapper each
- `schedules`: learning rates that change along a run

`wrapper` makes methods of them.
"""

from ravine.optimizers.wrappers import averaging, clipping, lookahead, schedules, sharpness

__all__ = ["averaging", "clipping", "lookahead", "schedules", "sharpness"]
