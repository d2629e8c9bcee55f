"""Minimum Bayes risk: what is taken is worth most, and nothing sees the fold it is scored on."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.data import Table
from pipeline.data.candidates import Candidates
from pipeline.ensemble.forecast.given import of_any_references
from pipeline.ensemble.forecast.leaderboard import Leaderboard
from pipeline.ensemble.forecast.ranges import Labelled, Range, Scored
from pipeline.ensemble.texts.nest import (
    DECIDED,
    DECISIONS,
    LENGTHS,
    METHODS,
    Consensus,
    TextEvidence,
    TextNest,
    decide,
    greedy,
)
from pipeline.ensemble.texts.outcome import FittedTexts
from pipeline.ensemble.texts.pool import FIELDS, MOST, TRUST, Pool, pooled, remembered
from pipeline.metrics import get_metric
from pipeline.problems.form import Form

WORDS = ["a", "pub", "near", "the", "river", "serves", "cheap", "food", "and", "tea"]
ROWS = 24
METRIC = get_metric("chrf", TaskConfig(problem="text", metric="chrf"))
SCORE = METRIC.formula.texts
assert SCORE is not None
NAN = math.nan


def said(random: np.random.Generator, right: str, wrong: int) -> str:
    """*right* with so many words of its own changed."""
    words = right.split()
    for place in random.choice(len(words), size=min(wrong, len(words)), replace=False):
        words[place] = str(random.choice(WORDS))
    return " ".join(words)


def member(seed: int, truth: list[str], wrong: int, logs: bool = True) -> Candidates:
    """Four candidates a row, each with so many words wrong."""
    random = np.random.default_rng(seed)
    texts = [[said(random, right, wrong) for _ in range(4)] for right in truth]
    chances = [sorted(-random.gamma(2, 2, size=4))[::-1] for _ in truth]
    return Candidates(texts, [list(map(float, each)) if logs else [NAN] * 4 for each in chances])


@pytest.fixture(scope="module")
def truth() -> list[str]:
    random = np.random.default_rng(3)
    return [" ".join(random.choice(WORDS, size=8)) for _ in range(ROWS)]


@pytest.fixture(scope="module")
def sets(truth) -> list[list[Candidates]]:
    """Three members: a good one, two sets of a middling one without probabilities, a bad one."""
    middling = [member(2, truth, 3, logs=False), member(3, truth, 3, logs=False)]
    return [[member(1, truth, 2)], middling, [member(4, truth, 7)]]


def evidence_of(truth: list[str], sets: list[list[Candidates]]) -> TextEvidence:
    assert SCORE is not None
    pool = pooled(sets, SCORE)
    references = np.empty(ROWS, dtype=object)
    references[:] = [(each,) for each in truth]
    names = [f"m{place}" for place in range(len(sets))]
    fold_of_row = np.arange(ROWS) % 4
    return TextEvidence.gather(names, pool, references, fold_of_row, np.arange(ROWS), METRIC)


def by_hand(row: int, sets: list[list[Candidates]], weights: list[float], power: float) -> float:
    """The largest expected utility of a row, summed up candidate by candidate."""
    chance: dict[str, float] = {}
    for weight, own in zip(weights, sets, strict=True):
        for each in own if weight else []:
            logs = np.array(each.log_probabilities[row])
            share = np.ones(4) if np.isnan(logs).any() else np.exp(power * logs)
            for text, part in zip(each.texts[row], share / share.sum(), strict=True):
                chance[text] = chance.get(text, 0.0) + weight * part / len(own)
    worth = {}
    for answer in chance:
        total = 0.0
        for reference, part in chance.items():
            assert SCORE is not None
            pair = SCORE.between([answer, reference])[0, -1]
            total += part * float(pair)
        worth[answer] = total
    return max(worth.values())


@pytest.mark.parametrize("weights", [[1.0, 0.0, 0.0], [0.2, 0.5, 0.3], [0.0, 0.6, 0.4]])
def test_what_is_taken_is_worth_most(truth, sets, weights):
    pool = pooled(sets, SCORE)
    for trust, power in list(enumerate(TRUST))[:: 2 if weights[0] else 1]:
        taken = pool.chosen(np.array(weights), trust)
        found = np.array(weights) @ pool.expected[trust][:, taken]
        for row in (0, 11):
            assert found[row] == pytest.approx(by_hand(row, sets, weights, power))
        names = {
            text
            for own, weight in zip(sets, weights, strict=True)
            if weight
            for each in own
            for text in each.texts[5]
        }
        assert pool.texts[taken[5]] in names, "a member of no weight says nothing"


def test_the_best_candidates_of_a_member_are_its_first_ones(truth, sets):
    pool = pooled(sets, SCORE)
    for place, own in enumerate(sets):
        assert pool.texts[pool.first[place]].tolist() == own[0].best.tolist()


def test_rows_are_told_as_they_are_done_and_a_text_of_nothing_has_a_length(truth, sets):
    done: list[int] = []
    empty = Candidates([["", each] for each in truth], [[-1.0, -2.0] for _ in truth])
    pool = pooled([*sets, [empty]], SCORE, done.append)
    assert done == [*range(1, ROWS + 1)]
    assert pool.longer[list(pool.texts).index("")] == 0
    assert np.isfinite(pool.longer).all()


def test_of_no_rows_no_texts_are_taken():
    blend = FittedTexts(
        blend=Consensus(weights=np.ones(1)),
        form=Form(kind="label", columns={"text": 0}),
        metric="chrf",
    )
    competition = SimpleNamespace(task=TaskConfig(problem="text", metric="chrf"))
    assert blend.chosen([[Candidates([], [])]], competition).shape == (0,)


def test_a_row_has_no_more_candidates_than_are_compared():
    many = Candidates([[f"text {number}" for number in range(MOST + 9)]], [[-1.0] * (MOST + 9)])
    last = Candidates([["the last"]], [[NAN]])
    pool = pooled([[many], [last]], SCORE)
    assert len(pool.texts) == MOST
    assert pool.texts[pool.first[1, 0]] == "the last", "the first of each member stays"


def test_fits_see_no_row_that_they_are_scored_on(truth, sets):
    """Other answers in a fold change nothing of what is fitted without it."""
    nest = TextNest(evidence_of(truth, sets), 1, METHODS)
    other = [text if row % 4 else "food tea food tea" for row, text in enumerate(truth)]
    changed = TextNest(evidence_of(other, sets), 1, METHODS)
    decided = [method + DECIDED for method in (*DECISIONS, "auto")]
    for method in (*METHODS, "auto", *decided):
        mine, theirs = (each.fit(method, frozenset({1, 2, 3})) for each in (nest, changed))
        assert mine.details() == theirs.details()
    whole = [each.fit("greedy", frozenset(range(4))).details() for each in (nest, changed)]
    assert whole[0] != whole[1], "else nothing could have been seen"


def test_good_members_count_and_blending_beats_the_best_of_them(truth, sets):
    evidence = evidence_of(truth, sets)
    nest = TextNest(evidence, 1, METHODS)
    weights = greedy(evidence, evidence.folds).weights
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > weights[2], "the good one more than the bad one"
    assert nest.honest_gain("mean") > nest.honest_gain("best")
    assert nest.in_sample_gain("greedy") >= nest.in_sample_gain("mean") - 1e-9
    best = evidence.pool.texts[evidence.pool.first[0]]
    references = np.empty(ROWS, dtype=object)
    references[:] = [(each,) for each in truth]
    assert nest.honest_gain("best") == pytest.approx(METRIC.score(references, best))


def test_a_member_that_is_left_out_leaves_its_candidates_out(truth, sets):
    whole, alone = evidence_of(truth, sets), evidence_of(truth, sets[:2])
    kept = whole.without(2)
    blend = Consensus(np.array([0.5, 0.5]), 1)
    texts = [each.pool.texts[blend.places(each.pool)].tolist() for each in (kept, alone)]
    assert texts[0] == texts[1]


def test_utilities_are_kept_for_the_same_candidates_alone(tmp_path, truth, sets):
    calls = []

    def make() -> Pool:
        calls.append(1)
        return pooled(sets, SCORE)

    path = tmp_path / "x.npz"
    first, again = (remembered(path, ["a", "b"], make) for _ in range(2))
    assert len(calls) == 1
    assert again.texts.tolist() == first.texts.tolist()
    for name in FIELDS:
        assert np.array_equal(getattr(first, name), getattr(again, name), equal_nan=True), name
    remembered(path, ["a", "c"], make)
    assert len(calls) == 2


def test_length_takes_longer_texts_where_the_middle_is_too_short(truth):
    """Three of four candidates lack the end that every right answer has."""
    whole = [f"{right} by day and night" for right in truth]
    short = [
        [right, right.rsplit(" ", 1)[0], right.rsplit(" ", 2)[0], each]
        for right, each in zip(truth, whole, strict=True)
    ]
    evidence = evidence_of(whole, [[Candidates(short, [[NAN] * 4] * ROWS)]])
    nest = TextNest(evidence, 1, METHODS)
    taken = {
        name: evidence.pool.texts[nest.fit(name, evidence.folds).places(evidence.pool)].tolist()
        for name in ("mean", "length")
    }
    assert taken["mean"] != whole
    assert taken["length"] == whole
    assert nest.fit("length", evidence.folds).details()["length"] > 0
    assert nest.honest_gain("length") > nest.honest_gain("mean")
    assert nest.choose(evidence.folds).method == "length"
    shorter = evidence_of(
        [each.rsplit(" ", 2)[0] for each in truth], [[Candidates(short, [[NAN] * 4] * ROWS)]]
    )
    assert TextNest(shorter, 1, METHODS).fit("length", shorter.folds).length <= 0


def ranked(truth: list[str], *orders: list[int]) -> list[list[Candidates]]:
    """A member for each of *orders*: three candidates a row, the right answer and it without one
    and two words, likely in this order by their log-probability, the likeliest first."""
    members = []
    for order in orders:
        texts, logs = [], []
        for right in truth:
            shorter = [right, right.rsplit(" ", 1)[0], right.rsplit(" ", 2)[0]]
            texts.append([shorter[place] for place in order])
            logs.append([-4.0 - place for place in range(3)])
        members.append([Candidates(texts, logs)])
    return members


def test_a_penalty_takes_longer_texts_where_whole_answers_that_are_short_are_likelier(truth):
    """The right answer is the least likely one, and the likeliest a word for a word."""
    evidence = evidence_of(truth, ranked(truth, [2, 1, 0]))
    logs, starts = evidence.pool.logs[0].reshape(ROWS, 3), evidence.pool.starts
    assert np.allclose(logs, [-4, -5, -6])
    by_hand = logs / np.exp(evidence.pool.longer.reshape(ROWS, 3)) ** 2.0
    assert np.array_equal(evidence.pool.likeliest(0, 2.0), starts + by_hand.argmax(axis=1))
    assert np.array_equal(evidence.pool.likeliest(0, 0.0), evidence.pool.first[0])
    nest = TextNest(evidence, 1, METHODS)
    of_file, told, (line,) = decide(nest, "best", "best")
    assert (line.name, line.applied, of_file) == ("penalty", True, "best, decided")
    assert nest.fit(of_file, evidence.folds).details()["penalty"] == 2.0
    assert line.effect.low > 0
    assert nest.honest_gain(told) > nest.honest_gain("best")


def test_length_stands_on_any_consensus_and_is_left_out_where_it_gains_nothing(truth):
    """Two members whose middle is short; and one whose candidates are all as long."""
    whole = [f"{right} by day and night" for right in truth]
    said = [
        [right, right.rsplit(" ", 1)[0], right.rsplit(" ", 2)[0], each]
        for right, each in zip(truth, whole, strict=True)
    ]
    both = [[Candidates([row[::step] for row in said], [[NAN] * 4] * ROWS)] for step in (1, -1)]
    short = evidence_of(whole, both)
    for method in ("mean", "greedy"):
        of_file, _, (line,) = decide(TextNest(short, 1, METHODS), method, method)
        assert line.applied, line.why
        assert TextNest(short, 1, METHODS).fit(of_file, short.folds).length > 0
    same = evidence_of(truth, [[Candidates([[each] for each in truth], [[-1.0]] * ROWS)]])
    for method in ("best", "mean"):
        of_file, told, (line,) = decide(TextNest(same, 1, METHODS), "auto", method)
        assert not line.applied
        assert of_file == method
        assert told in ("auto", method)
        assert line.why == "no: fitted on all rows nothing gains beyond its noise"
    assert decide(TextNest(short, 1, METHODS), "length", "length") == ("length", "length", [])


def test_a_member_that_does_not_say_how_likely_its_texts_are_keeps_its_first(truth):
    sets = [member(1, truth, 2), member(2, truth, 2, logs=False)]
    pool = pooled([sets, [sets[1]], [sets[0], sets[0]]], SCORE)
    assert np.array_equal(pool.likeliest(1, 1.0), pool.first[1])
    assert np.array_equal(pool.likeliest(0, 1.0), pool.first[0]), "one learner of two is enough"
    alone = pooled([[sets[0]]], SCORE)
    kept = pool.keep([2])
    where = {text: place for place, text in enumerate(kept.texts.tolist())}
    for text, log in zip(alone.texts.tolist(), alone.logs[0].tolist(), strict=True):
        assert kept.logs[0, where[text]] == pytest.approx(log), "the mean of twice the same"


def test_the_range_holds_scores_of_rows_with_few_and_with_many_right_answers():
    """Nobody knows how many right answers a test row has."""
    random = np.random.default_rng(5)
    right = [
        [" ".join(random.choice(WORDS, size=8)) for _ in range(1 + 2 * (row % 2))]
        for row in range(80)
    ]
    references = np.empty(80, dtype=object)
    references[:] = [tuple(each) for each in right]
    texts = np.array([said(random, each[-1], 4) for each in right], dtype=object)
    rows = Table(ids=texts, texts=texts[:, None], references=references)
    scored = Scored(METRIC, "text", references, texts, np.arange(80))
    score = METRIC.score(references, texts)
    known = Labelled(table=rows, scored=scored, gain=score)
    plain = Leaderboard(parts={"whole": Range(score=score, low=score, high=score, rows=9)})
    found = of_any_references(plain, known)
    few, many = (METRIC.score(references[at::2], texts[at::2]) for at in (0, 1))
    part = found.parts["whole"]
    assert few < score < many, "the more right answers, the better"
    assert (part.low, part.score, part.high) == pytest.approx((few, score, many))
    assert f"{few:.4f} with 1, {many:.4f} with 3" in found.notes[0]
    alone = scored.rows(np.arange(0, 80, 2))
    same = Labelled(table=rows, scored=alone, gain=few)
    assert of_any_references(plain, same) is plain, "all rows have one right answer"


def test_what_gains_within_a_standard_error_is_not_decided(truth, sets):
    """Of a dozen lengths one is always the best on the rows that are looked at."""
    evidence = evidence_of(truth, sets)
    nest, folds = TextNest(evidence, 1, METHODS), evidence.folds
    blends = nest.left_out("mean", folds)
    gains = [
        evidence.gain({fold: replace(blend, length=each) for fold, blend in blends.items()})
        for each in (0.0, *LENGTHS)
    ]
    assert max(gains) > gains[0]
    assert not nest.fit("mean" + DECIDED, folds).decision
