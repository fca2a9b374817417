"""One thread, double precision where it matters, and Hypothesis without a clock."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fast", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "full", deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tests run beside each other; threads would only fight for the cores."""
    torch.set_num_threads(1)
