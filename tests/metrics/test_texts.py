"""Metrics of texts equal sacrebleu and rouge-score, and are sums over rows."""

import random

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from pipeline.base import UsageError
from pipeline.base.config import TaskConfig
from pipeline.metrics import Draws, Metric, get_metric, resampled_gains
from pipeline.metrics.texts import scores as formulas

WORDS = (
    "the", "a", "pub", "Mill", "river,", "near", "is", "family-friendly", "£20", "cheap", "food.",
    "Not", "in", "it's", "HIGH",
)  # fmt: skip
ROWS = 40


def metric_of(name: str) -> Metric:
    return get_metric(name, TaskConfig(problem="text", metric=name))


def sentence(seed: int) -> str:
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) for _ in range(chosen.randint(0, 14)))


@pytest.fixture(scope="module")
def said() -> list[str]:
    return ["", ".", "the", *(sentence(1000 + row) for row in range(ROWS - 3))]


@pytest.fixture(scope="module")
def right() -> list[tuple[str, ...]]:
    """One to three references a row, as sacrebleu takes them filled up to three."""
    return [
        tuple(sentence(10 * row + each) + "!" for each in range(1 + row % 3)) for row in range(ROWS)
    ]


def arrays(right: list[tuple[str, ...]], said: list[str]) -> tuple[np.ndarray, np.ndarray]:
    truth = np.empty(len(right), dtype=object)
    truth[:] = right
    return truth, np.array(said, dtype=object)


def streams(right: list[tuple[str, ...]]) -> list[list[str | None]]:
    """As sacrebleu takes them: the first references of all rows, the second …"""
    return [[row[place] if place < len(row) else None for row in right] for place in range(3)]


@pytest.mark.parametrize("tokens", ["13a", "intl", "char"])
def test_bleu_is_that_of_sacrebleu(right, said, tokens):
    found = metric_of(f"bleu({tokens})").score(*arrays(right, said))
    wanted = sacrebleu.corpus_bleu(said, streams(right), tokenize=tokens).score
    assert found == pytest.approx(wanted / 100, rel=1e-12)
    if tokens == "13a":
        assert metric_of("bleu").score(*arrays(right, said)) == found


def test_chrf_is_that_of_sacrebleu(right, said):
    found = metric_of("chrf").score(*arrays(right, said))
    assert found == pytest.approx(
        sacrebleu.corpus_chrf(said, streams(right)).score / 100, rel=1e-12
    )


@pytest.mark.parametrize(("name", "theirs"), [("1", "rouge1"), ("2", "rouge2"), ("l", "rougeL")])
def test_rouge_is_that_of_rouge_score(right, said, name, theirs):
    for way, stem in (("words", False), ("stems", True)):
        scorer = RougeScorer([theirs], use_stemmer=stem)
        each = [
            [scorer.score(one, text)[theirs].fmeasure for one in row]
            for row, text in zip(right, said, strict=True)
        ]
        for rule, of in (("best", max), ("mean", np.mean)):
            found = metric_of(f"rouge-{name}({rule}, {way})").score(*arrays(right, said))
            assert found == pytest.approx(np.mean([of(row) for row in each]), rel=1e-12)


def test_single_sentences_are_scored_as_sacrebleu_scores_them(said):
    """What candidates are worth to each other."""
    bleu, chrf = metric_of("bleu").formula.texts, metric_of("chrf").formula.texts
    assert bleu is not None
    assert chrf is not None
    of_bleu, of_chrf = bleu.between(said[:6]), chrf.between(said[:6])
    for row, one in enumerate(said[:6]):
        for column, other in enumerate(said[:6]):
            wanted = sacrebleu.sentence_bleu(one, [other]).score / 100
            assert of_bleu[row, column] == pytest.approx(wanted, rel=1e-9, abs=1e-12)
            wanted = sacrebleu.sentence_chrf(one, [other]).score / 100
            assert of_chrf[row, column] == pytest.approx(wanted, rel=1e-9, abs=1e-12)


NAMES = [
    "bleu",
    "chrf",
    "rouge-1",
    "rouge-l(mean)",
    "exact-match",
    "mean(bleu, rouge-l(mean, stems))",
]


@pytest.mark.parametrize("name", NAMES)
def test_pairs_of_texts_are_the_score_of_one_row(said, name):
    score = metric_of(name).formula.texts
    assert score is not None
    few = said[3:9]
    if "bleu" not in name:  # of sentences it is smoothed otherwise
        for row, one in enumerate(few):
            truth = arrays([(each,) for each in few], [one] * len(few))
            alone = [score.score(truth[0][[at]], truth[1][[at]]) for at in range(len(few))]
            assert score.between(few)[row] == pytest.approx(alone)
    assert score.between([few[0]]) == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_scores_of_the_rows_that_are_drawn(right, said, name):
    metric, (truth, answers) = metric_of(name), arrays(right, said)
    draws = Draws.over(np.arange(ROWS) // 2, seed=1, resamples=6)
    found = resampled_gains(metric, truth, answers, draws)
    for gain, counts in zip(found, draws.counts, strict=True):
        rows = np.repeat(np.arange(ROWS), counts[draws.block_of_row].astype(int))
        assert gain == pytest.approx(metric.score(truth[rows], answers[rows]), nan_ok=True)


def test_a_mean_is_the_mean_of_its_parts(right, said):
    truth = arrays(right, said)
    parts = [metric_of(name).score(*truth) for name in ("chrf", "rouge-2", "rouge-l(spaces)")]
    assert metric_of("mean(chrf, rouge-2, rouge-l(spaces))").score(*truth) == pytest.approx(
        np.mean(parts)
    )


def test_other_alphabets_are_cut_by_spaces_or_characters():
    truth = arrays([("나는 학교에 갔다",)], ["나는 집에 갔다"])
    assert metric_of("rouge-1").score(*truth) == 0, "rouge-score knows English letters only"
    assert metric_of("rouge-1(spaces)").score(*truth) == pytest.approx(2 / 3)
    assert metric_of("rouge-l(characters)").score(*truth) == pytest.approx(2 * 5 / (7 + 6))


def test_morphemes_are_those_of_kiwi_where_it_is(monkeypatch):
    formulas._kiwi.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "kiwipiepy", None)
    with pytest.raises(UsageError, match=r"pip install 'foldstack\[korean\]'"):
        metric_of("rouge-1(morphemes)").score(*arrays([("가",)], ["나"]))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bleu(latin)", "expected one of 13a"),
        ("rouge-l(most)", "mean or best"),
        ("mean(bleu)", "two or more"),
        ("mean(bleu, pearson)", "two or more"),
        ("mean(bleu, blue)", "'blue' is no metric"),
        ("pearson", "does not fit a text"),
    ],
)
def test_what_is_no_metric_of_texts_is_refused(name, told):
    with pytest.raises(UsageError, match=told):
        metric_of(name)
