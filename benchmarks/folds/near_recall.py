"""How many of the truly near pairs of sentences MinHash-LSH connects, and how long it takes.

Brute force compares all pairs: the 4-grams of a sentence are a row of a sparse matrix, and one
matrix product gives the sizes of all intersections.
"""

import time
from collections.abc import Mapping

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pipeline.folds.groups import near_pairs, ngrams, normalise_all

THRESHOLDS = (0.9, 0.8, 0.7, 0.5)
MOST = 8000
"""Sentences of a competition that are compared by brute force."""
SIZES = (20_000, 100_000)


def near_tables(texts: Mapping[str, np.ndarray]) -> list[str]:
    """Markdown: recall per competition and threshold, seconds per size."""
    sentences = {
        name: [text for text in normalise_all(given)[0].tolist() if text]
        for name, given in texts.items()
    }
    everything = sorted({text for found in sentences.values() for text in found})
    return [
        "## Near sentences",
        "",
        "Pairs of distinct normalised sentences with a Jaccard similarity of character 4-grams of "
        f"at least the threshold, by brute force over the first {MOST} sentences; and the share of "
        "them that MinHash-LSH puts into one group.",
        "",
        "| sentences | threshold | near pairs | in one group |",
        "| --- | --- | --- | --- |",
        *(
            recall_line(name, found[:MOST], threshold)
            for name, found in sentences.items()
            for threshold in THRESHOLDS
        ),
        "",
        "Seconds on one core, threshold 0.9, sentences of all competitions mixed and repeated with "
        "a word put in front where there are too few.",
        "",
        "| sentences | seconds |",
        "| --- | --- |",
        *(seconds_line(everything, size) for size in SIZES),
    ]


def recall_line(name: str, sentences: list[str], threshold: float) -> str:
    """One line of the first table."""
    truth = brute_force(sentences, threshold)
    links = near_pairs(sentences, threshold)
    shape = (len(sentences), len(sentences))
    graph = csr_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=shape)
    group = connected_components(graph, directed=False)[1]
    together = int((group[truth[:, 0]] == group[truth[:, 1]]).sum())
    share = f"{together} ({together / len(truth):.2%})" if len(truth) else "–"
    return f"| {name} | {threshold} | {len(truth)} | {share} |"


def brute_force(sentences: list[str], threshold: float) -> np.ndarray:
    """(p, 2) all pairs i < j at or above the threshold."""
    number: dict[str, int] = {}
    rows = [[number.setdefault(n, len(number)) for n in ngrams(text)] for text in sentences]
    size = np.array([len(row) for row in rows])
    indptr = np.concatenate([[0], np.cumsum(size)])
    cells = (np.ones(indptr[-1], dtype=np.int32), np.concatenate(rows), indptr)
    matrix = csr_array(cells, shape=(len(rows), len(number)))
    found = []
    for start in range(0, len(rows), 1000):
        shared = (matrix[start : start + 1000] @ matrix.T).tocoo()
        first, second = shared.row + start, shared.col
        union = size[first] + size[second] - shared.data
        near = (first < second) & (shared.data >= threshold * union - 1e-12)
        found.append(np.column_stack([first[near], second[near]]))
    return np.concatenate(found)


def seconds_line(sentences: list[str], size: int) -> str:
    """One line of the second table."""
    many = [
        sentence if round_ == 0 else f"{round_}번째 {sentence}"
        for round_ in range(size // len(sentences) + 1)
        for sentence in sentences
    ][:size]
    start = time.perf_counter()
    near_pairs(many, 0.9)
    return f"| {size:,} | {time.perf_counter() - start:.1f} |"
