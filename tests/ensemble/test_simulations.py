"""The honest score and its intervals, held against known truths: benchmarks/honesty in small.

Every figure here is a mean over competitions that are the same in every run of the tests.
"""

import numpy as np
import pytest

from pipeline.ensemble.honest import Nest
from tests.ensemble.simulated import Answer, Competition, World
from tests.nightly import nightly

ROWS = 20_000
MANY = 50  # competitions; the binomial error of a coverage of 95 % is then 3 %


def competitions(world: World, methods: list[str], count: int = MANY):
    for seed in range(1000, 1000 + count):
        if seed % 10 == 0:
            population = world.population(seed, ROWS)
        yield Competition(Nest(world.draw(seed), seed, methods), population)


def coverage(answers: list[Answer]) -> tuple[float, float]:
    """Share of intervals that hold the true gain: ours, and those that know nothing but rows."""
    plain = [each.plain[0] <= each.true <= each.plain[1] for each in answers]
    return float(np.mean([each.covered for each in answers])), float(np.mean(plain))


@pytest.mark.parametrize(
    ("problem", "metric", "method"),
    [
        ("regression", "pearson", "simplex"),
        ("regression", "pearson", "greedy"),
        ("regression", "pearson", "ridge"),
        ("binary", "log-loss", "ridge"),
        ("binary", "auc", "simplex"),
    ],
)
def test_noise_members_raise_the_in_sample_score_and_not_the_honest_one(problem, metric, method):
    in_sample, honest = [], []
    for strangers in (0, 10, 50):
        world = World(
            name="crowd",
            metric=metric,
            problem=problem,
            labels=(0.0, 0.0),
            errors=(0.6,),
            strangers=strangers,
        )
        nests = [Nest(world.draw(seed), seed, [method]) for seed in range(3)]
        in_sample.append(np.mean([nest.in_sample_gain(method) for nest in nests]))
        honest.append(np.mean([nest.honest_gain(method) for nest in nests]))
    assert in_sample[0] < in_sample[1] < in_sample[2]
    assert max(honest[1:]) < honest[0] + 1e-3
    assert in_sample[2] - honest[2] > in_sample[1] - honest[1] > 0


@pytest.mark.nightly
def test_intervals_hold_where_six_members_are_equal_and_plain_ones_do_not():
    world = World(name="equal", metric="rmse", errors=(0.6,) * 6, groups=100, folds=10)
    found = [each.over("mean", "best") for each in competitions(world, ["best", "mean"])]
    held, plain = coverage(found)
    assert held >= 0.9
    assert plain < 0.8


def test_intervals_of_a_weak_member_hold_and_plain_ones_do_not():
    world = World(name="weak", metric="pearson", errors=(0.5, 0.7, 1.0, 1.2))
    found = [each.worth("simplex", 3) for each in competitions(world, ["best", "simplex"])]
    held, plain = coverage(found)
    assert held >= 0.92
    assert plain < held - 0.05


@pytest.mark.parametrize(
    ("problem", "metric"),
    [
        ("regression", "pearson"),
        nightly("binary", "log-loss"),
        nightly("multiclass", "macro-f1"),
    ],
)
def test_the_honest_score_is_right_on_average_and_its_intervals_are_no_wider_than_need_be(
    problem, metric
):
    world = World(
        name="clear",
        metric=metric,
        problem=problem,
        labels=(0.0, 0.0, -1.0) if problem == "multiclass" else (0.0, 0.0),
        errors=(0.4, 0.8, 0.9, 1.0),
    )
    answers, apart, honest = [], [], []
    for each in competitions(world, ["best", "simplex"]):
        answers.append(each.over("simplex", "best"))
        honest.append(each.nest.honest_gain("simplex"))
        apart.append(honest[-1] - each.truth("simplex")[0])
    assert abs(np.mean(apart)) < 0.35 * np.std(honest)  # 50 competitions know it to 0.14
    assert 0.88 <= coverage(answers)[0] <= 1
    error = np.mean([each.gain.error for each in answers])
    assert error == pytest.approx(np.std([each.gain.difference for each in answers]), rel=0.3)
