"""Which labels look wrong beside out-of-fold answers."""

import numpy as np
import pytest

from pipeline.metrics.label_doubt import label_doubts
from pipeline.problems.registry import problem_of

CERTAIN = {"binary": [[0.1], [0.9]], "multiclass": [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]]}


def test_of_numbers_the_farthest_are_most_doubtful_and_unknown_rows_are_never_chosen():
    random = np.random.default_rng(0)
    targets = random.normal(size=(40, 2))
    answers = targets + 0.1 * random.uniform(-1, 1, size=(40, 2))
    targets[5, 1] += 3
    answers[9] = answers[:, 0].max() + 9
    answers[9, 1] = np.nan
    found = label_doubts(problem_of("regression"), targets, answers)
    assert np.flatnonzero(np.isnan(found.score)).tolist() == [9]
    assert np.flatnonzero(found.flagged).tolist() == [5]
    assert found.score[5] > 10
    assert np.flatnonzero(found.chosen(1 / 40)).tolist() == [5]
    assert found.chosen(None) is found.flagged
    assert np.flatnonzero(~found.chosen(1.0)).tolist() == [9], "also where all are asked for"


@pytest.mark.parametrize("problem", CERTAIN)
def test_of_classes_a_label_that_got_less_than_another_is_doubtful_and_flagged(problem):
    pytest.importorskip("cleanlab")
    targets = (np.arange(60) % 2)[:, None].astype(float)
    answers = np.array(CERTAIN[problem])[targets[:, 0].astype(int)]
    targets[7] = 1 - targets[7]
    found = label_doubts(problem_of(problem), targets, answers)
    assert np.flatnonzero(found.flagged).tolist() == [7]
    assert found.score[7] > 0.5
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert (np.delete(found.score, 7) < 0.5).all()
