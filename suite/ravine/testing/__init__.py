"""What ravine knows, for any test suite: assertions, strategies and wrong optimizers."""
