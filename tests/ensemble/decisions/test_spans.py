"""The limits of answers: their length, and how likely no answer has to be."""

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.ensemble.decisions.decision import Labelled
from pipeline.ensemble.decisions.spans import Limits, limits_for
from pipeline.metrics.metric import get_metric
from pipeline.problems.span import targets_of

METRIC = get_metric("exact-match", TaskConfig(problem="span", metric="exact-match"))
TEXT = "Bo saw Eve and Ann Lee there"


def rows(texts: int, unanswered: bool, far: bool) -> Labelled:
    """Texts whose answer is Eve; *far*: another end is a little likelier; *unanswered*: half of
    them have none, which is said too softly."""
    truth, predicted = [], []
    for number in range(texts):
        none = unanswered and number % 2 == 0
        truth.append(targets_of(TEXT, [] if none else [(7, 10)]))
        said = np.zeros((len(TEXT), 3))
        said[7, 0], said[9, 1] = 0.5, 0.4
        said[27, 1] = 0.5 if far else 0.1
        said[:, 2] = 0.3 if none else 0.05
        predicted.append(said)
    document = np.repeat(np.arange(texts), len(TEXT))
    return Labelled(np.concatenate(truth), np.concatenate(predicted), document)


def test_a_greatest_length_keeps_ends_from_starts_far_away():
    given = rows(40, unanswered=False, far=True)
    found = limits_for(METRIC)(given)
    assert found == Limits(longest=3, factor=1.0)
    assert METRIC.score(given.truth, given.predicted) == 0.0
    assert METRIC.score(given.truth, found.apply(given.predicted)) == 1.0
    assert found.says([]) == "at most 3 characters"


def test_no_answer_counts_as_often_as_it_has_to():
    given = rows(40, unanswered=True, far=False)
    found = limits_for(METRIC)(given)
    assert found.longest == 0
    assert found.factor > 1
    assert METRIC.score(given.truth, given.predicted) == 0.5
    assert METRIC.score(given.truth, found.apply(given.predicted)) == 1.0
    assert "no answer counts" in found.says([])


def test_nothing_is_limited_where_it_gains_nothing():
    given = rows(40, unanswered=False, far=False)
    found = limits_for(METRIC)(given)
    assert found == Limits()
    assert found.apply(given.predicted) is given.predicted
    assert found.says([]) == "no limit gains beyond its noise"
