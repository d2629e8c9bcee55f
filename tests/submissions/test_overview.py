"""What the ledger's page says beside its lines."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.submissions import overview
from pipeline.submissions.ledger import Entry
from pipeline.submissions.overview import Expected, Line, noise


def line_of(name, public=None):
    return Line(
        number=1,
        entry=Entry(day="2026-03-01", file=name, sha256="0" * 64, public=public),
        csv=Path(name),
        method="mean",
        honest=0.9,
        doubts=(),
        warnings=(),
        expected={},
    )


@pytest.mark.parametrize("again", [[], ["one"]])
def test_without_two_files_that_can_be_made_again_nothing_is_said_of_noise(again, monkeypatch):
    monkeypatch.setattr(overview, "candidates", lambda root, files: (again, ["the others: why"]))
    assert noise(Path(), [], 100, seed=0, greater_is_better=True) is None


@pytest.mark.parametrize(
    ("greater_is_better", "asked"), [(True, ["high", "low"]), (False, ["low", "high"])]
)
def test_noise_is_that_of_the_best_on_the_leaderboard_and_the_next(
    greater_is_better, asked, monkeypatch
):
    seen = []

    def candidates(root, files):
        seen.extend(files)
        return [], []

    monkeypatch.setattr(overview, "candidates", candidates)
    lines = [line_of("none"), line_of("low", 0.0), line_of("foreign", 0.5), line_of("high", 1.0)]
    lines[2] = replace(lines[2], honest=None)
    noise(Path(), lines, 100, 0, greater_is_better)
    assert seen == [Path(name) for name in asked]
    noise(Path(), lines[:2], 100, 0, greater_is_better)
    assert seen[2:] == [Path("low"), Path("none")], "what has no score comes last"


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
