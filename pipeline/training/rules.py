"""How a run behaves when things go wrong: fixed once for all its folds."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.base.stopping import STOP, Stop

OnNan = Literal["stop", "rollback", "skip-fold"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Nothing in here changes a prediction of a training that goes well."""

    on_nan: OnNan = "stop"
    """stop: end with exit code 6. rollback: back to the start of the epoch with half the rate.
    skip-fold: go on with the other folds."""
    checkpoint_seconds: float = 600.0
    """A checkpoint is written this often; 0 for after every step."""
    min_free_bytes: int = 0
    """To be left free on every disk that is written to."""
    deterministic: bool = False
    """On a GPU, only algorithms that give the same bits every time."""
    stop: Stop = field(default=STOP)
    """Asked at every step boundary whether to end."""
