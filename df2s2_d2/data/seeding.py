"""Random numbers as a function of what they are drawn for, not of what was drawn before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_random(seed: int, *purpose: int) -> None:
    """Seed Python's, NumPy's and torch's generators.

    Args:
        seed: of the run, at least 0.
        purpose: what the numbers are for, such as the number of a step; other purposes get
            independent numbers.
    """
    words = np.random.SeedSequence(seed, spawn_key=purpose).generate_state(4)
    np.random.seed(words)
    words = words.astype(object)  # Python's integers, which do not overflow
    number = words[0] << 32 | words[1]
    random.seed(number)
    # torch.manual_seed takes a hundred times as long where CUDA is not in use.
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(number)


@contextmanager
def seeded_random(seed: int, *purpose: int) -> Iterator[None]:
    """As :func:`seed_random`, and afterwards the generators on the host are as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed_random(seed, *purpose)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
