"""What one fold finds out about its machine, the next one need not."""

import json

import pytest

from pipeline.base.config import as_dict
from pipeline.models.transformer.memory_limits import LearnedLimits


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ({}, {}, {}),
        ({}, {"micro_rows": 4, "precision": "32-true"}, {"micro_rows": 4}),
        (
            {"micro_rows": 8},
            {"micro_rows": 4, "predict_rows": 9},
            {"micro_rows": 4, "predict_rows": 9},
        ),
        ({"precision": "bf16-mixed"}, {"predict_rows": 1}, {"predict_rows": 1}),
    ],
)
def test_together_they_know_the_smaller_sizes_and_leave_the_precision_open(first, second, both):
    one, other = LearnedLimits(**first), LearnedLimits(**second)
    assert one.joined(other) == other.joined(one) == LearnedLimits(**both)
    assert both == {} or one.joined(LearnedLimits(**both)) == LearnedLimits(**both)


def test_facts_that_went_through_json_tell_it_again():
    learnt = LearnedLimits(micro_rows=4, precision="bf16-mixed")
    assert LearnedLimits.of(json.loads(json.dumps({"learnt": as_dict(learnt)}))) == learnt
    assert LearnedLimits.of({"loss": "mse"}) == LearnedLimits()
