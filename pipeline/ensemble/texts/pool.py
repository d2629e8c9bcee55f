"""Candidates of all members, row by row, and what each is worth if the others are right.

For a row all different candidates are compared with each other once, as answer and as reference, by
the metric of one sentence: the utility. A member's distribution over its candidates then gives each
candidate an expected utility, and the weighted sum of the members' is what a blend takes the
largest of (minimum Bayes risk: Kumar & Byrne, "Minimum Bayes-risk decoding for statistical machine
translation", HLT-NAACL 2004; with candidates of several systems, as Rosti et al., "Combining
outputs from multiple machine translation systems", NAACL-HLT 2007). Trying other weights costs
products of what is known, no metric.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.base.files import commit_arrays, read_arrays
from pipeline.data.candidates import Candidates
from pipeline.metrics.texts.scores import TextScore
from pipeline.oof.texts import TextRun

TRUST = (0.0, 0.5, 1.0)
"""Powers of a member's probabilities: from none of them (its candidates count alike) to all."""
MOST = 128
"""Candidates of a row that are compared, the likeliest: their number counts squared."""


@dataclass(frozen=True, eq=False)
class Pool:
    """All candidates of n rows by M members, C of them, those of a row side by side."""

    texts: np.ndarray
    """(C,) str objects."""
    starts: np.ndarray
    """(n,) where each row's begin."""
    expected: np.ndarray
    """(T, M, C) expected utility of each candidate under each member, for each power of TRUST."""
    said: np.ndarray
    """(M, C) bool: whether a member says it."""
    first: np.ndarray
    """(M, n) the place of each member's best candidate of each row."""
    logs: np.ndarray
    """(M, C) the logarithm of each candidate's probability, that of the mean over a member's
    learners; -inf where the member does not say it, NaN where it does not say how likely it is."""

    def __len__(self) -> int:
        return len(self.starts)

    def keep(self, members: Sequence[int]) -> "Pool":
        """The same rows and candidates with these members only."""
        kept = list(members)
        return replace(
            self,
            expected=self.expected[:, kept],
            said=self.said[kept],
            first=self.first[kept],
            logs=self.logs[kept],
        )

    @cached_property
    def longer(self) -> np.ndarray:
        """(C,) the logarithm of each candidate's characters."""
        return np.log([max(len(text), 1) for text in self.texts.tolist()])

    def chosen(self, weights: np.ndarray, trust: int, length: float = 0.0) -> np.ndarray:
        """(n,) the place of the candidate of each row that is worth most under *weights* (M,).

        Members of no weight say nothing, *trust* is a place in TRUST, and *length* is what a
        candidate that is e times as long as another is worth more. Of equals the first.
        """
        scores = weights @ self.expected[trust]
        if length:
            scores = scores + length * self.longer
        allowed = self.said[weights > 0].any(axis=0)
        return self._largest(np.where(allowed, scores, -np.inf))

    def likeliest(self, member: int, penalty: float) -> np.ndarray:
        """(n,) the place of the candidate of each row that *member* finds likeliest, the logarithm
        of its probability divided by its characters to the power *penalty* (Wu et al., "Google's
        neural machine translation system", 2016, section 7, without their constant); its first
        where it does not say how likely they are."""
        scores = self.logs[member] / np.exp(penalty * self.longer)
        with np.errstate(invalid="ignore"):  # NaN where one of them is
            known = np.isfinite(np.maximum.reduceat(scores, self.starts))
            return np.where(known, self._largest(scores), self.first[member])

    def _largest(self, scores: np.ndarray) -> np.ndarray:
        """(n,) the place of the largest of the *scores* (C,) of each row; of equals the first."""
        sizes = np.diff(self.starts, append=len(scores))
        best = np.repeat(np.maximum.reduceat(scores, self.starts), sizes)
        places = np.where(scores >= best - TIE, np.arange(len(scores)), len(scores))
        return np.asarray(np.minimum.reduceat(places, self.starts))


TIE = 1e-12
"""Sums in another order may differ by so much."""


def pooled(
    members: Sequence[Sequence[Candidates]],
    utility: TextScore,
    watch: Callable[[int], None] = lambda rows: None,
) -> Pool:
    """Put together what the *members* say, each in one or several sets of candidates of n rows.

    *watch* is told how many rows are done.
    """
    rows = len(members[0][0])
    texts: list[str] = []
    starts, expected, said, first, logs = [], [], [], [], []
    for row in range(rows):
        names, shares, likely = _shares(members, row)
        between = utility.between(names)
        expected.append(np.moveaxis(shares @ between.T, -1, 0))
        said.append((shares[0] > 0).T)
        logs.append(likely.T)
        best = [next(iter(each)).texts[row][0] for each in members]
        place_of = {name: place for place, name in enumerate(names)}
        first.append([len(texts) + place_of[text] for text in best])
        starts.append(len(texts))
        texts += names
        watch(row + 1)
    return Pool(
        texts=np.array([*texts, None], dtype=object)[:-1],
        starts=np.array(starts, dtype=int),
        expected=np.moveaxis(np.concatenate(expected), 0, -1),
        said=np.concatenate(said).T,
        first=np.array(first, dtype=int).T,
        logs=np.concatenate(logs).T,
    )


def _shares(
    members: Sequence[Sequence[Candidates]], row: int
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The different candidates of a *row*, c of them, each member's distribution (T, M, c), and
    the logarithms of their probabilities (M, c)."""
    known: dict[str, np.ndarray] = {}
    likely: dict[str, np.ndarray] = {}
    for member, sets in enumerate(members):
        for each in sets:
            logs = np.array(each.log_probabilities[row])
            shares = _distribution(logs).T
            for text, share, log in zip(each.texts[row], shares, logs.tolist(), strict=True):
                found = known.setdefault(text, np.zeros((len(TRUST), len(members))))
                found[:, member] += share / len(sets)
                total = likely.setdefault(text, np.full(len(members), -np.inf))
                with np.errstate(invalid="ignore"):  # NaN stays NaN
                    total[member] = np.logaddexp(total[member], log - math.log(len(sets)))
    names = list(known)
    if len(names) > MOST:
        best = {next(iter(sets)).texts[row][0] for sets in members}
        order = sorted(names, key=lambda name: (name not in best, -float(known[name].sum())))
        kept = set(order[:MOST])
        names = [name for name in names if name in kept]
    shares = np.stack([known[name] for name in names], axis=-1)
    return names, shares, np.stack([likely[name] for name in names], axis=-1)


def _distribution(logs: np.ndarray) -> np.ndarray:
    """(T, c) shares of c candidates by their log-probabilities; alike where none are known."""
    if np.isnan(logs).any():
        return np.full((len(TRUST), len(logs)), 1 / len(logs))
    powers = np.array(TRUST)[:, None] * (logs - logs.max())
    shares = np.exp(powers)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


# Utilities cost the most, and depend on predictions and the metric alone: they are kept.


FIELDS = ("starts", "expected", "said", "first", "logs")


def remembered(path: Path, key: Sequence[str], make: Callable[[], Pool]) -> Pool:
    """The pool that *make* gives, or that it gave before for the same *key*; kept at *path*, a
    cache that may be deleted."""
    digest = hashlib.sha256(json.dumps(list(key)).encode()).digest()
    if path.is_file():
        arrays = read_arrays(path)
        if arrays.get("key", np.empty(0)).tobytes() == digest:
            content = arrays["texts"].tobytes().decode("utf-8")
            texts = np.array([*json.loads(content), None], dtype=object)[:-1]
            return Pool(texts=texts, **{name: arrays[name] for name in FIELDS})
    pool = make()
    said = json.dumps(pool.texts.tolist()).encode("ascii")
    commit_arrays(
        path,
        {
            "key": np.frombuffer(digest, np.uint8),
            "texts": np.frombuffer(said, np.uint8),
            **{name: getattr(pool, name) for name in FIELDS},
        },
    )
    return pool


class Told(Protocol):
    """Told how many rows are compared."""

    def __call__(self, kind: str, done: int, rows: int) -> None:
        """*done* of the *rows* of a *kind*."""


@dataclass(eq=False)
class Pools:
    """Pools of the same members, each kept on disk."""

    score: TextScore
    metric: str
    runs: list[TextRun]
    cache: Path | None
    told: Told

    def of(self, kind: str, said: str) -> Pool:
        """The pool of "oof", "test" or "holdout" rows, *said* to whoever is told."""
        sets: list[list[Candidates]] = [getattr(run, kind) for run in self.runs]
        rows = len(sets[0][0])

        def make() -> Pool:
            return pooled(sets, self.score, lambda done: self.told(said, done, rows))

        if self.cache is None:
            return make()
        parts = [f"{run.name} {sorted(run.manifest['parts'].items())}" for run in self.runs]
        key = [kind, self.metric, str(TRUST), str(MOST), *FIELDS, *parts]
        name = hashlib.sha256("\n".join(key).encode()).hexdigest()[:12]
        return remembered(self.cache / f"{kind}-{name}.npz", key, make)


# How a candidate's terms (`TextScore.terms`) are known for every candidate that may be chosen.


def terms_of(pool: Pool, references: Sequence[Sequence[str]], metric: TextScore) -> np.ndarray:
    """(C, q) of each candidate against the *references* (n,) of its row."""
    sizes = np.diff(pool.starts, append=len(pool.texts))
    truth = [
        given for given, size in zip(references, sizes.tolist(), strict=True) for _ in range(size)
    ]
    return metric.rows(truth, pool.texts.tolist())


def no_gain(value: float) -> float:
    """*value*, or -inf where it is no number."""
    return value if math.isfinite(value) else -math.inf
