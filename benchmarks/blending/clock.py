"""Seconds of one contender, repeated where it is fast, cut short where it is slow."""

import time
from collections.abc import Callable
from typing import Any

ENOUGH = 3.0  # seconds after which nothing is repeated
REPEATS = 5
TICK = 0.004


def timed(call: Callable[[], Any]) -> tuple[Any, list[float]]:
    """What *call* gives, and its seconds: once where it is slow, else of each repeat.

    The first run of a fast one, which also imports, is not counted; a very fast one is run several
    times per repeat.
    """
    found, first = _once(call, 1)
    if first > ENOUGH:
        return found, [first]
    found, second = _once(call, 1)
    runs = max(1, round(0.1 / max(second, TICK)))
    repeats = max(1, min(REPEATS, int(ENOUGH / max(second * runs, TICK))))
    return found, [_once(call, runs)[1] for _ in range(repeats)]


def as_far(select: Callable[[int], Any], picks: int, cap: float) -> tuple[Any, list[float], int]:
    """What *select* gives for as many of the *picks* as *cap* seconds allow, timed; how many.

    One pick that takes them all is not run again.
    """
    found, one = _once(lambda: select(1), 1)
    size = max(1, min(picks, int(cap / max(one, TICK))))
    if size == 1 and one > ENOUGH:
        return found, [one], 1
    return *timed(lambda: select(size)), size


def _once(call: Callable[[], Any], runs: int) -> tuple[Any, float]:
    began = time.perf_counter()
    for _ in range(runs):
        found = call()
    return found, (time.perf_counter() - began) / runs
