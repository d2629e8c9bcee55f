"""Every random choice is a pure function of (seed, purpose, fold, epoch, step).

Nothing is drawn from a global generator whose state depends on what ran before, so a run that
was killed and started again draws the same numbers as one that was not.
"""

import hashlib

import numpy as np


def derive_seed(seed: int, purpose: str, *where: int) -> int:
    """A seed in [0, 2**63) for one *purpose* at one place (fold, epoch, step …).

    >>> derive_seed(42, "shuffle", 0, 1) == derive_seed(42, "shuffle", 0, 1)
    True
    >>> derive_seed(42, "shuffle", 0, 1) == derive_seed(42, "shuffle", 1, 0)
    False
    """
    text = ":".join([str(int(seed)), purpose, *(str(int(part)) for part in where)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, *where: int) -> np.random.Generator:
    """A numpy generator seeded by `derive_seed`."""
    return np.random.default_rng(derive_seed(seed, purpose, *where))
