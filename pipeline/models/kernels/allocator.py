"""Memory of the C library kept between steps, instead of being given back and asked for again.

A step on a CPU allocates and frees the same large tensors every time. By default glibc maps each
anew from the kernel, which fills it with zeros, page by page: a tenth to a fifth of a step of
minilm on two threads. The tensors' values are the same either way. (Options of mallopt: man 3
mallopt; GNU C Library manual, "Malloc Tunable Parameters".)
"""

import ctypes
import sys

NEVER_MAP, NEVER_TRIM, GROW_BY = (-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)
"""mallopt's M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes, each with its value."""


def keep_memory() -> bool:
    """Let the process keep what it frees; whether this C library can. For the whole process."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    taken = [mallopt(option, value) for option, value in (NEVER_MAP, NEVER_TRIM, GROW_BY)]
    return taken == [1, 1, 1]
