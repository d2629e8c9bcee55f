"""Which labels look wrong beside out-of-fold answers."""

import numpy as np
import pytest

from pipeline.metrics.label_doubt import answer_doubts, label_doubts
from pipeline.problems.registry import problem_of
from pipeline.problems.span import targets_of

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


def test_an_answer_is_doubtful_where_another_place_got_more_than_right_answers_do():
    """Of twenty texts one is labelled elsewhere than members say, one as if it had no answer, one
    with an answer that is not there; one is hard: nothing got much."""
    texts = 20
    said = [(2, 5)] * texts
    labels: list[list[tuple[int, int]]] = [[each] for each in said]
    labels[3], labels[7] = [(0, 2)], []
    none = np.full(texts, 0.05)
    labels[8], none[8], none[11], labels[11] = [], 0.95, 0.97, [(2, 5)]
    labels[12], none[12] = [(2, 5), (0, 1)], 0.05  # one of two references is what members say
    sure = np.full(texts, 0.9)
    sure[[8, 11]], sure[15] = 0.1, 0.2
    labels[15] = [(0, 2)]
    targets = np.concatenate([targets_of("abcdef", each) for each in labels])
    chances = np.full((texts, 6, 3), 0.02)
    chances[:, 2, 0] = chances[:, 4, 1] = sure
    chances[:, :, 2] = none[:, None]
    found = answer_doubts(targets, chances.reshape(-1, 3))
    assert np.flatnonzero(found.flagged).tolist() == [3, 7, 11]
    assert set(np.argsort(-found.score)[:3].tolist()) == {3, 7, 11}
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert found.score[12] == pytest.approx(found.score[0]) == pytest.approx(0.5 + (0.05 - 0.9) / 2)
    assert 0.5 < found.score[15] < 0.6, "hard, not wrong"
