"""Metrics of answers beside the organisers' formulas, and by sums."""

import collections
import re
import string
from difflib import SequenceMatcher

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.metrics.metric import get_metric
from pipeline.metrics.spans import ANSWERS, jaccard
from pipeline.problems.span import targets_of

WORDS = [
    "the",
    "U.S.",
    "Army",
    "an",
    "old",
    "《난장이》",
    "서울에",
    "(1978)",
    "a",
    "red-brick",
    "Bo",
    ".",
]


def task(metric: str) -> TaskConfig:
    return TaskConfig(problem="span", metric=metric)


# The organisers' formulas, written from their descriptions.


def squad(text: str) -> str:
    text = "".join(each for each in text.lower() if each not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_f1(gold: str, guess: str) -> float:
    wanted, own = gold.split(), guess.split()
    if not wanted or not own:
        return float(wanted == own)
    same = sum((collections.Counter(wanted) & collections.Counter(own)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(own), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def korquad(text: str) -> str:
    for mark in "'\"《》<>〈〉()‘’":
        text = text.replace(mark, " ")
    text = "".join(each for each in text.lower() if each not in set(string.punctuation))
    return " ".join(text.split())


def korquad_f1(gold: str, guess: str) -> float:
    return squad_f1(" ".join("".join(gold.split())), " ".join("".join(guess.split())))


def klue(text: str) -> str:
    text = "".join(each for each in text.lower() if each not in set(string.punctuation))
    return " ".join(text.split())


def klue_rouge(gold: str, guess: str) -> float:
    if not gold:
        return float(guess == gold)
    found = SequenceMatcher(None, guess, gold).find_longest_match(0, len(guess), 0, len(gold))
    precision = found.size / len(guess) if guess else 0.0
    recall = found.size / len(gold)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def kaggle_jaccard(gold: str, guess: str) -> float:
    one, two = set(gold.lower().split()), set(guess.lower().split())
    both = one & two
    return len(both) / (len(one) + len(two) - len(both))


def over(normal, one, drop: bool):
    def score(golds: list[str], guess: str) -> float:
        wanted = [normal(each) for each in golds]
        wanted = [each for each in wanted if each or not drop] or [""]
        return max(one(each, normal(guess)) for each in wanted)

    return score


def same(gold: str, guess: str) -> float:
    return float(gold == guess)


OFFICIAL = {
    "exact-match": over(squad, same, True),
    "word-f1": over(squad, squad_f1, True),
    "char-f1": over(korquad, korquad_f1, False),
    "klue-exact-match": over(klue, same, False),
    "rouge-w": over(klue, klue_rouge, False),
}


def random_texts(seed: int, empty: bool) -> tuple[np.ndarray, np.ndarray, list, list]:
    """Targets, labels, references and answers of some texts."""
    random = np.random.default_rng(seed)
    targets, labels, golds, guesses = [], [], [], []
    for _ in range(40):
        words = [str(word) for word in random.choice(WORDS, int(random.integers(3, 14)))]
        text = " ".join(words)

        def piece(text: str = text) -> tuple[int, int]:
            begin, behind = sorted(random.integers(0, len(text) + 1, 2).tolist())
            return (begin, behind) if text[begin:behind].strip() else (0, len(text))

        spans = [piece() for _ in range(int(random.integers(0 if empty else 1, 4)))]
        spans = list(dict.fromkeys(spans))
        guess = piece() if random.random() < 0.5 or not spans else spans[-1]
        if empty and random.random() < 0.2:
            guess = (0, 0)
        inside = np.zeros((len(text), 1))
        inside[guess[0] : guess[1]] = 1
        targets.append(targets_of(text, spans))
        labels.append(inside)
        golds.append([text[begin:behind] for begin, behind in spans])
        guesses.append(text[guess[0] : guess[1]])
    return np.concatenate(targets), np.concatenate(labels), golds, guesses


@pytest.mark.parametrize("name", list(OFFICIAL))
def test_each_equals_the_organisers_formula(name):
    for seed in range(3):
        truth, labels, golds, guesses = random_texts(seed, empty=True)
        wanted = np.mean([OFFICIAL[name](*each) for each in zip(golds, guesses, strict=True)])
        assert ANSWERS[name].formulas["span"].score(truth, labels) == pytest.approx(wanted)
        assert 0 < wanted < 1


def test_jaccard_equals_kaggles():
    truth, labels, golds, guesses = random_texts(5, empty=False)
    scores = [
        max(kaggle_jaccard(gold, guess) for gold in held)
        for held, guess in zip(golds, guesses, strict=True)
    ]
    score = ANSWERS["jaccard"].formulas["span"].score(truth, labels)
    assert score == pytest.approx(np.mean(scores))


@pytest.mark.parametrize("name", list(ANSWERS))
def test_sums_over_rows_give_the_score_of_any_draw_of_texts(name):
    truth, labels, _, _ = random_texts(7, empty=True)
    formula = ANSWERS[name].formulas["span"]
    sums = formula.label_sums
    assert sums is not None
    terms = sums.terms(truth, labels, 2)
    number = np.cumsum(truth[:, 3] == 0) - 1
    drawn = [3, 3, 17, 20]
    rows = np.concatenate([np.flatnonzero(number == each) for each in drawn])
    wanted = formula.score(truth[rows].copy(), labels[rows])
    assert float(sums.finish(terms[rows].sum(axis=0)[None])[0]) == pytest.approx(wanted)


def test_no_words_on_either_side_are_alike():
    assert (jaccard("", " "), jaccard("", "one"), jaccard("two one", "one")) == (1.0, 0.0, 0.5)


def test_raw_predictions_are_decoded_before_they_are_scored():
    truth = np.concatenate([targets_of("Bo saw Eve", [(7, 10)]), targets_of("No", [])])
    predicted = np.zeros((12, 3))
    predicted[[7, 9], [0, 1]] = 0.8
    predicted[[0, 0], [0, 1]] = 0.3
    predicted[10:, 2] = 0.9
    metric = get_metric("exact-match", task("exact-match"))
    assert metric.score(truth, predicted) == 1.0
    predicted[10:] = [0.5, 0.5, 0.0]  # an answer where there is none
    assert metric.score(truth, predicted) == 0.5


def test_what_is_known_of_texts_is_of_these_rows():
    """Texts are kept by the identity of their targets: another array is another."""
    formula = ANSWERS["exact-match"].formulas["span"]
    labels = np.array([[1.0], [0.0]])
    for answer, wanted in (((0, 1), 1.0), ((1, 2), 0.0)) * 8:
        assert formula.score(targets_of("xy", [answer]), labels) == wanted
