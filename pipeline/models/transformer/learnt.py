"""What a training finds out about its machine on the way, and the next one need not find out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.models.transformer.device import Precision


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """Empty as long as everything fits and nothing overflows."""

    micro_rows: int | None = None
    """Most rows that fit into memory when training; None where all did."""
    predict_rows: int | None = None
    """Most rows that fit into memory when predicting."""
    precision: Precision | None = None
    """What was computed in after fp16 overflowed."""

    def joined(self, other: "Learnt") -> "Learnt":
        """What a third training starts with: the smaller sizes.

        It finds its precision by itself, at the cost of a step: so no fold's numbers depend on
        whether another, that overflowed, was trained before it.
        """
        return Learnt(
            micro_rows=_least(self.micro_rows, other.micro_rows),
            predict_rows=_least(self.predict_rows, other.predict_rows),
        )

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Learnt":
        """What the facts of a fitted learner tell."""
        return cls(**facts.get("learnt", {}))


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)
