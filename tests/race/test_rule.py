"""The rule of the race, with made-up numbers."""

import math

import pytest

from pipeline.race.rule import Racer, expected_gain, kept_back, next_of

HOUR = 3600.0


def racer(name: str, done: int, seconds: float | None = None, **more) -> Racer:
    return Racer(name=name, done=done, folds=5, seconds=seconds, **more)


def chosen(racers: list[Racer], seconds: float = HOUR) -> str | None:
    found = next_of(racers, seconds)
    return None if found is None else found.name


LINEAR = racer("linear", 5, 1)


def test_the_first_fold_of_everything_comes_first_the_cheap_ones_before():
    promising = racer("begun", 1, 10, gain=0.1, error=0.01)
    new = [racer("large", 0, cost=2), racer("boosting", 0, cost=1), promising]
    assert chosen([LINEAR, *new]) == "boosting"
    assert chosen([LINEAR, racer("large", 0, cost=2), promising]) == "large"


def test_while_no_run_is_complete_the_quickest_to_complete_comes_first():
    slow = racer("slow", 3, 100, gain=9.0, error=0.1)
    quick = racer("quick", 1, 10)
    assert chosen([slow, quick]) == "quick"
    # a first fold must leave the time that this takes: a submission in hand
    assert kept_back([slow, quick]) == 40
    new = racer("new", 0)
    assert chosen([slow, quick, new], 41) == "new"
    assert chosen([slow, quick, new], 40) == "quick"


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        # the same gain at half the price
        ({"gain": 0.01, "seconds": 100}, {"gain": 0.01, "seconds": 50}, "second"),
        # twice the gain at three times the price
        ({"gain": 0.01, "seconds": 50}, {"gain": 0.02, "seconds": 150}, "first"),
        # a loss that is sure against a loss that may be none
        ({"gain": -0.01, "error": 0.001}, {"gain": -0.01, "error": 0.02}, "second"),
        # four folds of five are paid already
        ({"gain": 0.01, "done": 1}, {"gain": 0.005, "done": 4}, "second"),
    ],
)
def test_then_the_largest_expected_gain_per_minute(first, second, wanted):
    usual = {"done": 1, "seconds": 60.0, "error": 0.002}
    racers = [racer(name, **usual | own) for name, own in (("first", first), ("second", second))]
    assert chosen([LINEAR, *racers]) == wanted
    assert chosen([LINEAR, *reversed(racers)]) == wanted


def test_what_cannot_be_completed_in_time_is_not_begun():
    dear = racer("dear", 1, 1000, gain=0.9, error=0.01)
    cheap = racer("cheap", 1, 10, gain=0.001, error=0.001)
    assert chosen([LINEAR, dear, cheap], 4000) == "dear"
    assert chosen([LINEAR, dear, cheap], 3999) == "cheap"
    assert chosen([LINEAR, dear, cheap], 39) is None


def test_what_is_out_complete_or_without_any_hope_is_not_trained():
    hopeless = racer("hopeless", 1, 10, gain=-1.0, error=0.0)
    assert chosen([LINEAR, hopeless, racer("nan", 2, 10, gain=1.0, error=0.1, out="NaN")]) is None
    assert chosen([LINEAR, racer("unmeasured", 1, 10)]) is None


def test_the_expected_gain_is_that_of_many_draws():
    import numpy as np

    for gain, error in ((0.3, 1.0), (-0.5, 0.4), (2.0, 0.1)):
        drawn = np.random.default_rng(0).normal(gain, error, 400_000)
        assert expected_gain(gain, error) == pytest.approx(np.maximum(drawn, 0).mean(), abs=2e-3)
    assert expected_gain(math.nan, 1.0) == expected_gain(1.0, math.inf) == 0.0
