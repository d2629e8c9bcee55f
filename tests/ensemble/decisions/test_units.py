"""What an entity or an answer may be: limits, and how likely no entity and no answer has to be."""

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.ensemble.decisions.decision import Labelled
from pipeline.ensemble.decisions.units import (
    AnswerLimits,
    answer_limits_for,
    entity_limits_for,
    outside_for,
)
from pipeline.metrics.metric import Metric, get_metric
from pipeline.problems.entities import BRIDGE, decoded, edited, inventory_of, limited
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
    found = answer_limits_for(METRIC)(given)
    assert found == AnswerLimits(longest=3, factor=1.0)
    assert METRIC.score(given.truth, given.predicted) == 0.0
    assert METRIC.score(given.truth, found.apply(given.predicted)) == 1.0
    assert found.says([]) == "at most 3 characters"


def test_no_answer_counts_as_often_as_it_has_to():
    given = rows(40, unanswered=True, far=False)
    found = answer_limits_for(METRIC)(given)
    assert found.longest == 0
    assert found.factor > 1
    assert METRIC.score(given.truth, given.predicted) == 0.5
    assert METRIC.score(given.truth, found.apply(given.predicted)) == 1.0
    assert "no answer counts" in found.says([])


def test_nothing_is_limited_where_it_gains_nothing():
    given = rows(40, unanswered=False, far=False)
    found = answer_limits_for(METRIC)(given)
    assert found == AnswerLimits()
    assert found.apply(given.predicted) is given.predicted
    assert found.says([]) == "no limit gains beyond its noise"


@pytest.mark.parametrize(
    ("factor", "told"),
    [
        (0.0, "at most 7 characters; always an answer"),
        (0.5, "at most 7 characters; no answer counts 0.5 times"),
        (1.0, "at most 7 characters"),
    ],
)
def test_how_often_no_answer_counts_is_told(factor, told):
    assert AnswerLimits(7, factor).says([]) == told


# Tags.


NAMES = ("O", "B-PS", "I-PS", "B-LC", "I-LC")


def tagged(documents: list[tuple[str, str]]) -> Labelled:
    """Documents as (right, predicted) tags, a letter a unit: P and L begin, p and l go on."""
    number = {letter: place for place, letter in enumerate("OPpLl")}
    truth, said, document = [], [], []
    for place, (right, predicted) in enumerate(documents):
        truth += [(number[letter], at) for at, letter in enumerate(right)]
        said += [number[letter] for letter in predicted]
        document += [place] * len(right)
    predicted = np.full((len(said), len(NAMES)), 0.05)
    predicted[np.arange(len(said)), said] = 0.8
    return Labelled(np.array(truth, dtype=float), predicted, np.array(document))


def entity_metric(classes: tuple[str, ...] = NAMES, name: str = "entity-f1") -> Metric:
    return get_metric(name, TaskConfig(problem="tags", metric=name, classes=list(classes)))


TORN = ("OPppppOO", "OPpOPpOO")


def test_neighbours_of_a_type_with_little_between_are_one_where_that_gains():
    given = tagged([TORN] * 20 + [("OLlOLlOO", "OLlOLlOO")] * 20)
    found = entity_limits_for(entity_metric())(given)
    assert (found.shortest, found.bridges) == ((1, 1), (2, 0))
    assert entity_metric().score(given.truth, found.apply(given.predicted)) == 1.0
    assert found.says([]) == "PS with fewer than 2 units between are one"
    assert found.as_dict()["bridges"] == {"PS": 2, "LC": 0}


def test_what_is_shorter_than_its_type_is_left_out_where_that_gains():
    given = tagged([("OPppOOOO", "OPppOPOO")] * 20 + [("OLOOOOOO", "OLOOOOOO")] * 20)
    found = entity_limits_for(entity_metric())(given)
    assert (found.shortest, found.bridges) == ((3, 1), (0, 0))
    assert entity_metric().score(given.truth, found.apply(given.predicted)) == 1.0
    assert found.says([]) == "PS of at least 3 units"


def test_entities_are_left_as_they_are_where_nothing_is_gained():
    given = tagged([("OPppOPOO", "OPppOPOO")] * 20 + [TORN] * 2)
    found = entity_limits_for(entity_metric())(given)
    assert (found.shortest, found.bridges) == ((1, 1), (0, 0))
    assert found.apply(given.predicted) is given.predicted
    assert found.says([]) == "no limit gains beyond its noise"


def test_a_level_for_o_finds_what_is_missed_and_stands_beside_the_limits():
    given = tagged([("OPppOOOO", "OPppOPOO")] * 20 + [("OOOOOLOO", "OOOOOOOO")] * 20)
    place = np.flatnonzero(given.truth[:, 0] == 3)
    given.predicted[place] = [0.55, 0.05, 0.05, 0.3, 0.05]
    share, both = outside_for(entity_metric())(given), entity_limits_for(entity_metric())(given)
    assert share.says([]) == "another tag than O where O has less than 0.6"
    assert both.says([]) == f"{share.says([])}; PS of at least 3 units"
    assert entity_metric().score(given.truth, both.apply(given.predicted)) == 1.0


def test_limits_hold_within_documents_and_beside_probabilities_of_one():
    inventory, first = inventory_of(NAMES), np.array([True, False, True, False, False])
    sure = np.eye(5)[[1, 2, 1, 0, 1]]
    assert decoded(sure, first, inventory).tolist() == [1, 2, 1, 0, 1]
    joined = limited(sure, inventory, (1, 1), (3, 0))
    assert decoded(joined, first, inventory).tolist() == [1, 2, 1, 2, 2]
    both = np.concatenate([joined[:2], limited(sure, inventory, (2, 1), (0, 0))[2:]])
    assert decoded(both, first, inventory).tolist() == [1, 2, 0, 0, 0]


def test_types_without_prefix_and_types_of_one_unit_can_be_limited():
    plain, first = inventory_of(("O", "PS")), np.array([True, False, False])
    assert edited(np.array([1, 0, 1]), first, plain, np.array([1 + 2 * BRIDGE])).tolist() == [1] * 3
    alone = inventory_of(("O", "B-PS"))
    same = edited(np.array([1, 1, 0]), first, alone, np.array([1 + 9 * BRIDGE]))
    assert same.tolist() == [1, 1, 0]
    assert edited(np.array([1, 1, 0]), first, alone, np.array([2])).tolist() == [0, 0, 0]
