"""Worlds cut out of the open competitions: a train and a test file whose answers are known."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline.folds.groups import connect

TRAIN, TEST = 1500, 600
"""Rows of a world's two files."""
TOPICS = 90
"""Values of the column in the worlds of new values."""


@dataclass(frozen=True)
class Source:
    """An open competition, as the organiser handed it out."""

    texts: list[str]
    target: str
    metrics: list[str]
    family: Callable[[pd.DataFrame], pd.Series] | None = None
    """Which collection a row is from."""


SOURCES = {
    "klue-sts": Source(
        ["sentence_1", "sentence_2"],
        "label",
        ["pearson", "rmse"],
        lambda frame: frame["source"].str.split("-").str[0],
    ),
    "stsb-en": Source(
        ["sentence1", "sentence2"], "score", ["pearson", "rmse"], lambda frame: frame["source"]
    ),
    "nsmc": Source(["document"], "label", ["auc", "accuracy", "log-loss"]),
    "ynat": Source(["title"], "topic", ["macro-f1", "accuracy", "log-loss"]),
}


@dataclass(frozen=True)
class World:
    """Two files; the test file still has its answers."""

    kind: str
    source: str
    metric: str
    train: pd.DataFrame
    test: pd.DataFrame


def world(data: Path, kind: str, seed: int) -> World:
    """The *seed*-th world of a kind, the same every time."""
    allowed, cut = KINDS[kind]
    name = allowed[seed % len(allowed)]
    source = SOURCES[name]
    metric = source.metrics[(seed // len(allowed)) % len(source.metrics)]
    random = np.random.default_rng([seed, *kind.encode()])
    if kind == "whole":
        return World(kind, name, metric, *_whole(data, name, random))
    pool = _pool(data, name)
    pool = pool.iloc[random.permutation(len(pool))].reset_index(drop=True)
    train, test = cut(pool, source, random)
    return World(kind, name, metric, train.reset_index(drop=True), test.reset_index(drop=True))


def _pool(data: Path, name: str) -> pd.DataFrame:
    files = [data / name / f"{part}.csv" for part in ("train", "dev")]
    frames = [
        pd.read_csv(file, dtype=str, keep_default_na=False) for file in files if file.exists()
    ]
    frame = pd.concat(frames, ignore_index=True)
    return frame.drop(columns=[each for each in ("binary-label",) if each in frame])


CUT_OFF = 2000


def _whole(data: Path, name: str, random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All of train.csv against dev.csv, or where there is none against rows cut off."""
    train, *dev = (
        pd.read_csv(file, dtype=str, keep_default_na=False).drop(
            columns=["binary-label"], errors="ignore"
        )
        for file in (data / name / f"{part}.csv" for part in ("train", "dev"))
        if file.exists()
    )
    if dev:
        return train, dev[0]
    turn = random.permutation(len(train))
    return train.iloc[turn[CUT_OFF:]], train.iloc[turn[:CUT_OFF]]


Cut = tuple[pd.DataFrame, pd.DataFrame]


def at_random(pool: pd.DataFrame, source: Source, random: np.random.Generator) -> Cut:
    """Rows of one bag."""
    return pool.iloc[:TRAIN], pool.iloc[TRAIN : TRAIN + TEST]


def whole_groups(pool: pd.DataFrame, source: Source, random: np.random.Generator) -> Cut:
    """Rows that share a sentence, on one side of the cut; half of all rows have such a relative."""
    groups = connect(pool[source.texts].to_numpy(dtype=object), "exact")
    size = np.bincount(groups)[groups]
    few = np.flatnonzero((size > 1) & (size <= 60))
    alone = np.flatnonzero(size == 1)[: TRAIN + TEST - len(few)]
    rows = np.sort(np.concatenate([few, alone]))
    return _by_groups(pool.iloc[rows], groups[rows], random)


def new_values(pool: pd.DataFrame, source: Source, random: np.random.Generator) -> Cut:
    """A column of many values, each a cluster of texts; test has others than train."""
    rows = pool.iloc[: TRAIN + TEST].copy()
    cluster = KMeans(TOPICS, n_init=1, random_state=0).fit_predict(_shape(rows, source, 40))
    rows["topic_id"] = [f"q{number:03d}" for number in random.permutation(TOPICS)[cluster]]
    return _by_groups(rows, cluster, random)


def flat_labels(pool: pd.DataFrame, source: Source, random: np.random.Generator) -> Cut:
    """Test has as many rows of each part of the scale, as that of klue-sts; train does not."""
    score = pool[source.target].astype(float).to_numpy()
    step = np.minimum(np.floor(score * 2), 9).astype(int)
    return _weighed(pool, (1 / np.bincount(step, minlength=10).clip(1))[step], random)


def other_shares(pool: pd.DataFrame, source: Source, random: np.random.Generator) -> Cut:
    """Classes have other shares in test."""
    number, values = pd.factorize(pool[source.target], sort=True)
    share = random.dirichlet(np.full(len(values), 3.0))
    return _weighed(pool, (share / np.bincount(number))[number], random)


def longer_texts(pool: pd.DataFrame, source: Source, random: np.random.Generator) -> Cut:
    """Test has more of the longer texts."""
    length = pool[source.texts].map(len).sum(axis=1).rank(pct=True).to_numpy()
    return _weighed(pool, np.exp(2.0 * length), random)


def later_rows(pool: pd.DataFrame, source: Source, random: np.random.Generator) -> Cut:
    """Rows in an order in which the texts drift; test is what comes last."""
    rows = pool.iloc[: TRAIN + TEST]
    first = _shape(rows, source, 3)[:, 1]
    drift = (first - first.mean()) / first.std() + random.normal(0, 2, len(rows))
    order = np.argsort(drift)
    rows = rows.iloc[order]
    return rows.iloc[:TRAIN], rows.iloc[TRAIN:]


def another_source(pool: pd.DataFrame, source: Source, random: np.random.Generator) -> Cut:
    """Half of test is from a collection that train has nothing of."""
    assert source.family is not None
    family = source.family(pool).to_numpy()
    names, count = np.unique(family, return_counts=True)
    names = names[(count >= TEST // 2) & (count < len(pool) - TRAIN - TEST // 2)]
    other = random.choice(names)
    known, new = np.flatnonzero(family != other), np.flatnonzero(family == other)
    test = np.concatenate([known[TRAIN : TRAIN + TEST // 2], new[: TEST // 2]])
    return pool.iloc[known[:TRAIN]], pool.iloc[random.permutation(test)]


def _by_groups(rows: pd.DataFrame, groups: np.ndarray, random: np.random.Generator) -> Cut:
    size = np.bincount(groups)
    turn = random.permutation(np.unique(groups))
    taken = turn[np.cumsum(size[turn]) <= TEST]
    test = np.isin(groups, taken)
    return rows.iloc[~test], rows.iloc[test]


def _weighed(pool: pd.DataFrame, weight: np.ndarray, random: np.random.Generator) -> Cut:
    """Train from the first rows at random, test from the others with these chances."""
    rest = np.arange(TRAIN, len(pool))
    chance = weight[rest] / weight[rest].sum()
    return pool.iloc[:TRAIN], pool.iloc[random.choice(rest, TEST, replace=False, p=chance)]


def _shape(rows: pd.DataFrame, source: Source, dimensions: int) -> np.ndarray:
    texts = rows[source.texts].agg("\n".join, axis=1)
    counts = TfidfVectorizer(analyzer="char", ngram_range=(2, 3), min_df=3).fit_transform(texts)
    return np.asarray(TruncatedSVD(dimensions, random_state=0).fit_transform(counts))


PAIRS, ALL = ["klue-sts", "stsb-en"], ["klue-sts", "nsmc", "stsb-en", "ynat"]
KINDS: dict[str, tuple[list[str], Callable[[pd.DataFrame, Source, np.random.Generator], Cut]]] = {
    "random": (ALL, at_random),
    "groups": (["stsb-en"], whole_groups),
    "values": (ALL, new_values),
    "flat": (PAIRS, flat_labels),
    "shares": (["nsmc", "ynat"], other_shares),
    "longer": (ALL, longer_texts),
    "later": (ALL, later_rows),
    "source": (PAIRS, another_source),
    "whole": (ALL, at_random),
}
