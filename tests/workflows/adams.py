"""What a user brings: an Adam that is right, one that is wrong, and one that breaks."""

import torch


class Fine(torch.optim.Adam):
    """Adam as it is."""


class Wrong(torch.optim.Adam):
    """Adam whose parameters shrink."""

    def step(self, closure=None):
        """Step, and shrink."""
        loss = super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(0.999)
        return loss


class Stuck(torch.optim.Adam):
    """Adam that raises."""

    def step(self, closure=None):
        """Raise."""
        raise RuntimeError("the belt is off")
