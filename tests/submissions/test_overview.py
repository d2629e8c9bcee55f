"""What the ledger's page says beside its lines."""

from pathlib import Path

import pytest

from pipeline.submissions import overview
from pipeline.submissions.overview import Expected, noise


@pytest.mark.parametrize("again", [[], ["one"]])
def test_without_two_files_that_can_be_made_again_nothing_is_said_of_noise(again, monkeypatch):
    monkeypatch.setattr(overview, "candidates", lambda root, files: (again, ["the others: why"]))
    assert noise(Path(), [], 100, seed=0, greater_is_better=True) is None


@pytest.mark.parametrize(
    ("ends", "outside"),
    [
        ((0.7, 0.8), True),
        ((0.95, 1.0), True),
        ((0.8, 0.9), False),
        ((0.9, 1.0), False),
        ((0.95, 0.8), False),
        ((None, 0.8), False),
    ],
    ids=["above", "below", "at the high end", "at the low end", "of an error", "no range"],
)
def test_a_score_is_outside_its_range_only_beyond_both_ends(ends, outside):
    found = Expected(score=0.8, low=ends[0], high=ends[1])
    assert found.misses(0.9) == outside
