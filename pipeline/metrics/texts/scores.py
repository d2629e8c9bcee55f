"""Metrics of texts against one or several right answers: BLEU, chrF, ROUGE, exact match.

Each is made of sums over rows: what a text has in common with its references is counted once, and a
bootstrap draw is then a product of counts (BLEU and chrF of a corpus are no means of rows). Scores
lie between 0 and 1; sacrebleu writes them times 100.

BLEU     Papineni et al., ACL 2002, as sacrebleu has it (Post, WMT 2018): 13a tokens, the closest
         reference length, exponential smoothing
chrF     Popović, WMT 2015, as sacrebleu has it: characters without spaces, up to six, beta 2; of
         several references the one under which the row is best
ROUGE    Lin, 2004, F1 as rouge-score has it: n-grams, or the longest common subsequence (ROUGE-L)
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from pipeline.base.errors import UsageError
from pipeline.metrics.formulas import MetricError
from pipeline.metrics.linearised_metrics import Finish

KEPT = 2**16
"""Texts whose counts are remembered."""
BLEU_ORDERS, CHRF_ORDERS, CHRF_BETA = 4, 6, 2
Tokens = Callable[[str], Sequence[str]]


@dataclass(frozen=True, eq=False)
class TextScore:
    """A metric of texts, as sums over rows."""

    counted: Callable[[str], Any]
    """What is looked at of a text; made once."""
    terms: Callable[[Any, Sequence[Any]], np.ndarray]
    """(an answer, its references), both counted -> (q,) what is added up over rows."""
    width: int
    """q."""
    finish: Finish
    """Sums (..., q) -> scores (...)."""
    pairs: Callable[[Sequence[Any]], np.ndarray]
    """c counted texts -> (c, c) the score of each (row) as the answer where each (column) is the
    only reference: of sentences, so smoothed where the corpus' own is not."""

    def rows(self, truth: Sequence[Sequence[str]], said: Sequence[str]) -> np.ndarray:
        """(n, q) terms of the answers *said* (n,) for the references *truth* (n,)."""
        return np.array(
            [
                self.terms(self.counted(text), [self.counted(each) for each in references])
                for text, references in zip(said, truth, strict=True)
            ],
            dtype=float,
        )

    def sums(self, truth: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, Finish]:
        """As `linearised_metrics.Sums`."""
        return self.rows(truth.tolist(), said.tolist()), self.finish

    def score(self, truth: np.ndarray, said: np.ndarray) -> float:
        """Of all rows; MetricError where there are none."""
        if not len(said):
            raise MetricError("there are no rows")
        return float(self.finish(self.rows(truth.tolist(), said.tolist()).sum(axis=0)))

    def alone(self, truth: np.ndarray, said: np.ndarray) -> np.ndarray:
        """(n,) the score of each row as if there were no other."""
        return np.asarray(self.finish(self.rows(truth.tolist(), said.tolist())))

    def between(self, texts: Sequence[str]) -> np.ndarray:
        """(c, c) of *texts*, see `pairs`."""
        return self.pairs([self.counted(text) for text in texts])


class Grams(NamedTuple):
    """How often each n-gram stands in a text."""

    length: int
    """In tokens, or characters."""
    counts: tuple[Counter[Any], ...]
    """By order."""

    @property
    def totals(self) -> list[int]:
        """N-grams of each order."""
        return [sum(counts.values()) for counts in self.counts]


def _grams(tokens: Sequence[str], orders: Sequence[int]) -> Grams:
    """Of tokens, or of the characters of a text."""
    join: Callable[[Sequence[str]], Any] = str if isinstance(tokens, str) else tuple
    found = tuple(
        Counter(join(tokens[start : start + size]) for start in range(len(tokens) - size + 1))
        for size in orders
    )
    return Grams(len(tokens), found)


def _shared(answer: Counter[Any], reference: Counter[Any]) -> int:
    return sum(min(count, reference[each]) for each, count in answer.items() if each in reference)


def overlaps(texts: Sequence[Grams]) -> np.ndarray:
    """(orders, c, c) how many n-grams each two of c *texts* have in common."""
    orders = len(texts[0].counts)
    found = np.zeros((orders, len(texts), len(texts)))
    for order in range(orders):
        places: dict[Any, int] = {}
        rows, columns, amounts = [], [], []
        for row, text in enumerate(texts):
            for each, count in text.counts[order].items():
                rows.append(row)
                columns.append(places.setdefault(each, len(places)))
                amounts.append(count)
        table = np.zeros((len(texts), len(places)), dtype=np.float32)
        table[rows, columns] = amounts
        level = 1
        while table.size:  # the smaller of two counts is the number of levels that both reach
            reached = (table >= level).astype(np.float32)
            found[order] += reached @ reached.T
            level += 1
            table = table[:, (table >= level).sum(axis=0) > 0]
    return found


# BLEU. Terms: length of the answer and of the closest reference, right and all n-grams by order.


def _bleu(terms: np.ndarray, sentence: bool) -> np.ndarray:
    """(...) of terms (..., 10). Of a *sentence*, orders that it is too short for do not count."""
    said, wanted = terms[..., 0], terms[..., 1]
    right, every = terms[..., 2 : 2 + BLEU_ORDERS], terms[..., 2 + BLEU_ORDERS :]
    there = every > 0
    none = there & (right == 0)
    smooth = 2.0 ** np.cumsum(none, axis=-1)
    amount = np.where(none, 1 / smooth, right)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(amount / every)
        short = np.minimum(0.0, 1 - wanted / said)
    orders = np.maximum(there.sum(axis=-1), 1) if sentence else BLEU_ORDERS
    logs = np.where(there, logs, 0.0 if sentence else -np.inf)
    found = np.exp(logs.sum(axis=-1) / orders + np.where(said > 0, short, -np.inf))
    return np.where(right.any(axis=-1), found, 0.0)


def bleu(tokens: Tokens) -> TextScore:
    """BLEU of these *tokens*."""

    def terms(answer: Grams, references: Sequence[Grams]) -> np.ndarray:
        nearest = min((abs(each.length - answer.length), each.length) for each in references)[1]
        right = []
        for order, counts in enumerate(answer.counts):
            most = references[0].counts[order]
            for each in references[1:]:
                most = most | each.counts[order]
            right.append(_shared(counts, most))
        return np.array([answer.length, nearest, *right, *answer.totals], dtype=float)

    def pairs(texts: Sequence[Grams]) -> np.ndarray:
        count = len(texts)
        lengths = np.array([each.length for each in texts], dtype=float)
        totals = np.array([each.totals for each in texts], dtype=float)
        made = np.empty((count, count, 2 + 2 * BLEU_ORDERS))
        made[..., 0], made[..., 1] = lengths[:, None], lengths[None, :]
        made[..., 2 : 2 + BLEU_ORDERS] = np.moveaxis(overlaps(texts), 0, -1)
        made[..., 2 + BLEU_ORDERS :] = totals[:, None, :]
        return _bleu(made, sentence=True)

    orders = range(1, BLEU_ORDERS + 1)
    return TextScore(
        counted=lru_cache(KEPT)(lambda text: _grams(list(tokens(text)), orders)),
        terms=terms,
        width=2 + 2 * BLEU_ORDERS,
        finish=lambda total: _bleu(total, sentence=False),
        pairs=pairs,
    )


# chrF. Terms: n-grams of the answer, of the reference, in common, for each order.


def _chrf(terms: np.ndarray) -> np.ndarray:
    """(...) of terms (..., 18)."""
    said, wanted, both = np.moveaxis(terms.reshape(*terms.shape[:-1], -1, 3), -1, 0)
    counts = (said > 0) & (wanted > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        orders = counts.sum(axis=-1)
        precision = np.where(counts, both / said, 0.0).sum(axis=-1) / orders
        recall = np.where(counts, both / wanted, 0.0).sum(axis=-1) / orders
        found = (1 + CHRF_BETA**2) * precision * recall / (CHRF_BETA**2 * precision + recall)
    return np.where(np.isfinite(found), found, 0.0)


def _characters(text: str) -> Grams:
    return _grams("".join(text.split()), range(1, CHRF_ORDERS + 1))


def chrf() -> TextScore:
    """chrF2, of characters alone."""

    def terms(answer: Grams, references: Sequence[Grams]) -> np.ndarray:
        made = np.zeros((len(references), 3 * CHRF_ORDERS))
        for row, each in enumerate(references):
            for order, (counts, own) in enumerate(zip(answer.counts, each.counts, strict=True)):
                said = sum(counts.values()) if own else 0
                made[row, 3 * order : 3 * order + 3] = said, sum(own.values()), _shared(counts, own)
        return np.asarray(made[_chrf(made).argmax()])

    def pairs(texts: Sequence[Grams]) -> np.ndarray:
        totals = np.array([each.totals for each in texts], dtype=float)
        made = np.empty((len(texts), len(texts), CHRF_ORDERS, 3))
        made[..., 0], made[..., 1] = totals[:, None, :], totals[None, :, :]
        made[..., 0] *= made[..., 1] > 0
        made[..., 2] = np.moveaxis(overlaps(texts), 0, -1)
        return _chrf(made.reshape(len(texts), len(texts), -1))

    return TextScore(lru_cache(KEPT)(_characters), terms, 3 * CHRF_ORDERS, _chrf, pairs)


# Means over rows: ROUGE, exact match, functions of one's own. Terms: the row's score, and 1.


def mean_of_rows(total: np.ndarray) -> np.ndarray:
    """(...) of sums (..., 2)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(total[..., 0] / total[..., 1])


def _of_rows(
    counted: Callable[[str], Any],
    single: Callable[[Any, Any], float],
    pairs: Callable[[Sequence[Any]], np.ndarray],
    mean: bool = False,
) -> TextScore:
    """The mean over rows of the best, or the *mean*, score by *single* over references."""

    def terms(answer: Any, references: Sequence[Any]) -> np.ndarray:
        found = np.array([single(answer, each) for each in references])
        return np.array([found.mean() if mean else found.max(), 1.0])

    return TextScore(lru_cache(KEPT)(counted), terms, 2, mean_of_rows, pairs)


def _f1(both: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(c, c) of what each two have in common (c, c) and what each has (c,)."""
    either = lengths[:, None] + lengths[None, :]
    return np.divide(2 * both, either, out=np.zeros_like(both), where=both > 0)


def _f1_of(both: int, one: int, other: int) -> float:
    return 2 * both / (one + other) if both else 0.0


def rouge_n(order: int, tokens: Tokens, mean: bool = False) -> TextScore:
    """ROUGE of n-grams; best, or *mean*, over references."""

    def single(answer: Grams, reference: Grams) -> float:
        both = _shared(answer.counts[0], reference.counts[0])
        return _f1_of(both, answer.totals[0], reference.totals[0])

    def pairs(texts: Sequence[Grams]) -> np.ndarray:
        lengths = np.array([each.totals[0] for each in texts], dtype=float)
        return _f1(overlaps(texts)[0], lengths)

    return _of_rows(lambda text: _grams(list(tokens(text)), [order]), single, pairs, mean)


def rouge_l(tokens: Tokens, mean: bool = False) -> TextScore:
    """ROUGE of the longest common subsequence; best, or *mean*, over references."""
    from rapidfuzz.distance import LCSseq

    def single(answer: list[str], reference: list[str]) -> float:
        return _f1_of(LCSseq.similarity(answer, reference), len(answer), len(reference))

    def pairs(texts: Sequence[list[str]]) -> np.ndarray:
        both = np.zeros((len(texts), len(texts)))
        for row, one in enumerate(texts):
            for column in range(row, len(texts)):
                both[row, column] = LCSseq.similarity(one, texts[column])
        both = np.maximum(both, both.T)
        return _f1(both, np.array([len(each) for each in texts], dtype=float))

    return _of_rows(lambda text: list(tokens(text)), single, pairs, mean)


def exact_match() -> TextScore:
    """1 where the text is one of the right answers, outer spaces left aside."""

    def single(answer: str, reference: str) -> float:
        return float(answer == reference)

    def pairs(texts: Sequence[str]) -> np.ndarray:
        return np.array([[float(one == other) for other in texts] for one in texts])

    return _of_rows(str.strip, single, pairs)


def mean_of(scores: Sequence[TextScore]) -> TextScore:
    """The mean of several metrics."""

    def finish(total: np.ndarray) -> np.ndarray:
        parts = np.split(total, cuts, axis=-1)
        found = [each.finish(part) for each, part in zip(scores, parts, strict=True)]
        return np.asarray(np.mean(found, axis=0))

    def terms(answer: Any, references: Sequence[Any]) -> np.ndarray:
        made = [
            each.terms(answer[place], [reference[place] for reference in references])
            for place, each in enumerate(scores)
        ]
        return np.concatenate(made)

    def pairs(texts: Sequence[Any]) -> np.ndarray:
        made = [each.pairs([text[place] for text in texts]) for place, each in enumerate(scores)]
        return np.asarray(np.mean(made, axis=0))

    cuts = np.cumsum([each.width for each in scores])[:-1]
    return TextScore(
        counted=lambda text: tuple(each.counted(text) for each in scores),
        terms=terms,
        width=sum(each.width for each in scores),
        finish=finish,
        pairs=pairs,
    )


# What a text is cut into, by the name in a metric's parentheses. Libraries are loaded at the first
# text.


def by_name(name: str) -> Tokens:
    """The way called *name*, one of WAYS or of SACREBLEU."""
    return WAYS[name] if name in WAYS else lambda text: _sacrebleu(name)(text)


SACREBLEU = ("13a", "intl", "zh", "char", "none")
"""Tokenizers of sacrebleu that need nothing else."""
WORDS = re.compile("[a-z0-9]+")


def words(text: str) -> list[str]:
    """As rouge-score has them: small letters and digits of the English alphabet, nothing else."""
    return WORDS.findall(text.lower())


@lru_cache
def _sacrebleu(name: str) -> Tokens:
    from sacrebleu.metrics.bleu import BLEU

    tokenizer = BLEU(tokenize=name).tokenizer
    return lambda text: tokenizer(text.rstrip()).split()


@lru_cache
def _kiwi() -> Tokens:
    """Korean morphemes, by kiwipiepy; UsageError where it is not installed."""
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise UsageError(
            "morphemes are found by kiwipiepy, which is not installed: pip install "
            "'foldstack[korean]', or name another way to cut texts (characters, spaces)"
        ) from error
    kiwi = Kiwi()
    return lambda text: [token.form for token in kiwi.tokenize(text)]


@lru_cache
def _porter() -> Tokens:
    """Words without their endings, as rouge-score stems them (Porter); UsageError without it."""
    try:
        from rouge_score.tokenizers import DefaultTokenizer
    except ImportError as error:
        raise UsageError(
            "stems are those of rouge-score, which is not installed: pip install 'foldstack[stems]'"
        ) from error
    found: Tokens = DefaultTokenizer(use_stemmer=True).tokenize
    return found


WAYS: dict[str, Tokens] = {
    "words": words,
    "spaces": str.split,
    "characters": lambda text: list("".join(text.split())),
    "stems": lambda text: _porter()(text),
    "morphemes": lambda text: _kiwi()(text),
}
"""Name -> a text to its tokens."""
