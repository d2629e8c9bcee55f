"""Faults on demand: the places where a test may kill, fill or spoil a run from outside.

    PIPELINE_FAULT=step:7:kill9,commit-replace:2:enospc python -m pipeline.cv --model linear

`reach("step")` marks a place; at the n-th time this process reaches it, the fault of that kind
happens. Without the variable a place costs one comparison.
"""

import errno
import os
import signal
import sys
import time
from collections import Counter

VARIABLE = "PIPELINE_FAULT"
POINTS = (
    "commit-open",
    "commit-write",
    "commit-fsync",
    "commit-replace",
    "commit-done",
    "event",
    "micro-batch",
    "loss",
    "gradient",
    "step",
    "checkpoint",
    "checkpoint-file",
    "checkpoint-done",
    "stage",
    "trained",
    "predict",
    "predicted",
    "fold",
    "run",
    "trial",
)
"""What may stand before the first colon."""
KINDS = ("kill9", "term", "int", "raise", "enospc", "edquot", "erofs", "eio", "oom", "nan", "hang")
"""What may stand after the second; "nan" is for the caller to act on."""


class Injected(RuntimeError):
    """The fault "raise": an error that nobody expects."""


def _read(text: str) -> dict[tuple[str, int], str]:
    """The faults asked for, by place and count.

    >>> _read("step:7:kill9,loss:1:nan")
    {('step', 7): 'kill9', ('loss', 1): 'nan'}
    """
    faults = {}
    for item in filter(None, text.split(",")):
        point, nth, kind = item.split(":")
        if point not in POINTS or kind not in KINDS or int(nth) < 1:
            raise ValueError(
                f"{VARIABLE}: {item!r} is not POINT:COUNT:KIND with a point of {', '.join(POINTS)} "
                f"and a kind of {', '.join(KINDS)}"
            )
        faults[point, int(nth)] = kind
    return faults


_FAULTS = _read(os.environ.get(VARIABLE, ""))
_REACHED: Counter[str] = Counter()


def reach(point: str) -> bool:
    """This process is at *point*. True where the caller shall make its value NaN."""
    if not _FAULTS:
        return False
    assert point in POINTS, point
    _REACHED[point] += 1
    kind = _FAULTS.get((point, _REACHED[point]))
    return False if kind is None else _strike(point, kind)


def _strike(point: str, kind: str) -> bool:
    match kind:
        case "kill9":
            os.kill(os.getpid(), signal.SIGKILL)
        case "term":
            os.kill(os.getpid(), signal.SIGTERM)
        case "int":
            os.kill(os.getpid(), signal.SIGINT)
        case "hang":
            time.sleep(3600)
        case "raise":
            raise Injected(f"injected at {point}")
        case "oom":
            raise sys.modules["torch"].OutOfMemoryError(f"CUDA out of memory (injected at {point})")
        case "enospc" | "edquot" | "erofs" | "eio":
            number = getattr(errno, kind.upper())
            raise OSError(number, os.strerror(number), point)
    return kind == "nan"
