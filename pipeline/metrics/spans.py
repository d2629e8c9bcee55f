"""Metrics of answers that stand in a text: each text's answer beside its references.

Targets are (n, 4), characters of whole texts, labels (n, 1), 1 for the characters of the answer, as
`pipeline.problems.span` has both. A text counts with the best over its references; where there are
none the right answer is the empty one. The score is the mean over texts, so a bootstrap draw of
whole texts is a product.

How an answer is normalised is part of a metric, and they differ:

| metric | normalised as |
| --- | --- |
| exact-match, word-f1 | SQuAD's evaluate-v2.0.py: small letters, no punctuation, no a, an, the |
| char-f1 | KorQuAD's evaluate-v1.0.py: brackets and quotes as spaces, no punctuation |
| klue-exact-match, rouge-w | KLUE's baseline (`klue_mrc_em`, `klue_mrc_rouge_w`) |
| jaccard | Kaggle's Tweet Sentiment Extraction: small letters, parted by spaces |
"""

import re
import string
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from pipeline.metrics.linearised_metrics import LabelSums
from pipeline.metrics.record import Formula, Record
from pipeline.problems.span import PLACE, SPAN, References, letters

Normal = Callable[[str], str]
OfOne = Callable[[str, str], float]
"""(answer, reference), both normalised -> score."""
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
MARKS = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
KLUE_MARKS = re.compile(r"['\"《》<>〈〉]\(\)‘’")
"""As it stands in KLUE's baseline: not any of these marks, as its name says, but one of them before
the four others in a row, which no answer has."""


def squad_normal(text: str) -> str:
    """SQuAD's `normalize_answer`.

    >>> squad_normal("The  U.S. Army,")
    'us army'
    """
    bare = ARTICLES.sub(" ", text.lower().translate(PUNCTUATION))
    return " ".join(bare.split())


def korquad_normal(text: str) -> str:
    """KorQuAD's `normalize_answer`.

    >>> korquad_normal("《난장이》(1978)")
    '난장이 1978'
    """
    return " ".join(text.translate(MARKS).lower().translate(PUNCTUATION).split())


def klue_normal(text: str) -> str:
    """KLUE's `normalize_answer_for_klue_mrc`.

    >>> klue_normal("《난장이》(1978)")
    '《난장이》1978'
    """
    return " ".join(KLUE_MARKS.sub(" ", text.lower()).translate(PUNCTUATION).split())


def overlap_f1(answer: Iterable[str], reference: Iterable[str]) -> float:
    """F1 of two bags of words or characters; 1 where both are empty."""
    own, wanted = Counter(answer), Counter(reference)
    if not own or not wanted:
        return float(own == wanted)
    common = (own & wanted).total()
    return 2 * common / (own.total() + wanted.total())


def rouge_w(answer: str, reference: str) -> float:
    """KLUE's `rouge_w_score_for_klue_mrc`: F1 by the longest run of characters that both have."""
    if not answer or not reference:
        return float(answer == reference)
    # with KLUE's own settings: from 200 characters of the reference on, frequent ones are left out
    matcher = SequenceMatcher(None, answer, reference)
    size = matcher.find_longest_match(0, len(answer), 0, len(reference)).size
    return 2 * size / (len(answer) + len(reference))


def jaccard(answer: str, reference: str) -> float:
    """Words of both, of the words of either; 1 where both are empty."""
    own, wanted = set(answer.split()), set(reference.split())
    either = len(own | wanted)
    return len(own & wanted) / either if either else 1.0


def over_references(
    normal: Normal, one: OfOne, bare: bool = False
) -> Callable[[str, tuple[str, ...]], float]:
    """(answer, references) -> the best score.

    *bare*: references that are empty once normalised do not count, unless none is left (SQuAD).
    """

    @lru_cache(maxsize=2**17)
    def score(answer: str, references: tuple[str, ...]) -> float:
        given = normal(answer)
        wanted = [text for text in map(normal, references) if text or not bare]
        return max(one(given, text) for text in wanted or [""])

    return score


# From characters to texts.


class _Texts:
    """The characters and references of d texts."""

    def __init__(self, truth: np.ndarray) -> None:
        self.characters = letters(truth)
        self.first = np.flatnonzero(truth[:, PLACE] == 0)
        held: list[list[str]] = [[] for _ in self.first]
        found = References.of(truth)
        for document, begin, end in zip(
            *(each.tolist() for each in (found.document, found.begin, found.end)), strict=True
        ):
            held[document].append(self.text(begin, end))
        self.references = [tuple(dict.fromkeys(each)) for each in held]

    def text(self, begin: int, end: int) -> str:
        """The characters of the rows from *begin* to *end*, without the space around them."""
        return self.characters[begin : end + 1].replace("\0", "").strip()

    def answers(self, labels: np.ndarray) -> list[str]:
        """(d,) the answers that *labels* (n, 1) show."""
        inside = np.flatnonzero(labels[:, 0] > 0)
        document = np.searchsorted(self.first, inside, side="right") - 1
        found = [""] * len(self.first)
        number, at = np.unique(document, return_index=True)
        ends = np.append(at[1:], len(inside)) - 1
        for place, begin, end in zip(
            number.tolist(), inside[at].tolist(), inside[ends].tolist() if len(at) else [],
            strict=True,
        ):  # fmt: skip
            found[place] = self.text(begin, end)
        return found


_KNOWN: dict[int, "tuple[weakref.ref[np.ndarray], _Texts]"] = {}
"""By the truth's identity: a climb scores the same rows hundreds of times."""
KEPT = 4


def _texts_of(truth: np.ndarray) -> _Texts:
    known = _KNOWN.get(id(truth))
    if known is not None and known[0]() is truth:
        return known[1]
    found = _Texts(truth)
    while len(_KNOWN) >= KEPT:
        del _KNOWN[next(iter(_KNOWN))]
    _KNOWN[id(truth)] = (weakref.ref(truth), found)
    return found


def answers_of(truth: np.ndarray, labels: np.ndarray) -> tuple[list[tuple[str, ...]], list[str]]:
    """(d,) the references of each text, and (d,) the answers that *labels* (n, 1) show."""
    texts = _texts_of(truth)
    return texts.references, texts.answers(labels)


def of_answers(normal: Normal, one: OfOne, bare: bool = False) -> Formula:
    """The mean over texts of the best over references; see `over_references`."""
    best = over_references(normal, one, bare)

    def scores(truth: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        texts = _texts_of(truth)
        pairs = zip(texts.answers(labels), texts.references, strict=True)
        return texts.first, np.array([best(*each) for each in pairs], dtype=float)

    def score(truth: np.ndarray, labels: np.ndarray) -> float:
        return float(scores(truth, labels)[1].mean())

    def terms(truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
        first, found = scores(truth, labels)
        made = np.zeros((len(truth), 2))
        made[first, 0], made[first, 1] = found, 1.0
        return made

    def finish(total: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total[..., 0] / total[..., 1])

    return Formula(score=score, label_sums=LabelSums(terms, finish))


def _record(formula: Formula, place: int, usual: tuple[str, str] | None = None) -> Record:
    return Record(
        formulas={SPAN.name: formula},
        greater_is_better=True,
        needs="label",
        bounds=(0.0, 1.0),
        usual_for=dict([usual] if usual else []),
        place={SPAN.name: place},
    )


def _same(answer: str, reference: str) -> float:
    return float(answer == reference)


def _words(answer: str, reference: str) -> float:
    return overlap_f1(answer.split(), reference.split())


def _characters(answer: str, reference: str) -> float:
    return overlap_f1("".join(answer.split()), "".join(reference.split()))


ANSWERS: dict[str, Record] = {
    "exact-match": _record(
        of_answers(squad_normal, _same, bare=True),
        0,
        ("an answer in the text", "An answer in the text: is it right, to the word?"),
    ),
    "word-f1": _record(of_answers(squad_normal, _words, bare=True), 1),
    "char-f1": _record(of_answers(korquad_normal, _characters), 2),
    "klue-exact-match": _record(of_answers(klue_normal, _same), 3),
    "rouge-w": _record(of_answers(klue_normal, rouge_w), 4),
    "jaccard": _record(
        of_answers(str.lower, jaccard),
        5,
        ("a piece by a label", "A piece of a text by a label: the words of both."),
    ),
}
"""By name."""
