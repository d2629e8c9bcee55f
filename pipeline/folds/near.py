"""Which sentences are nearly equal: Jaccard similarity of character 4-grams, through MinHash-LSH.

MinHash-LSH only proposes pairs; each one is verified on the 4-grams themselves, so that no pair
below the threshold is ever returned. What can be missed is a pair that shares no band of its
MinHashes: the bands are chosen so that this happens to less than one pair in a thousand at the
threshold, and less the nearer the pair. benchmarks/results/folds.md compares with brute force.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from zlib import crc32

import numpy as np
from datasketch import MinHash

NGRAM = 4
PERMUTATIONS = 64
RECALL = 0.999
"""Chance that a pair exactly at the threshold is proposed."""
CACHED = 8192

Verify = Callable[[int, int], bool]


def near_pairs(sentences: Sequence[str], threshold: float) -> np.ndarray:
    """(p, 2) numbers of sentences with a similarity of at least *threshold*.

    Not every such pair: of a cluster just enough to connect it, which is all that grouping needs
    and keeps ten thousand near-copies of one sentence from becoming fifty million pairs.

    Args:
        sentences: distinct and normalised; empty ones are like nothing.
        threshold: in (0, 1].
    """
    filled = [number for number, sentence in enumerate(sentences) if sentence]
    signatures = _signatures([sentences[number] for number in filled])
    cached = lru_cache(CACHED)(ngrams)
    refuted: set[tuple[int, int]] = set()
    root = list(range(len(sentences)))
    links: list[tuple[int, int]] = []

    def connected(first: int, second: int) -> bool:
        if _find(root, first) == _find(root, second):
            return True
        if (first, second) in refuted:
            return False
        if jaccard(cached(sentences[first]), cached(sentences[second])) < threshold:
            refuted.add((first, second))
            return False
        root[_find(root, first)] = _find(root, second)
        links.append((first, second))
        return True

    for bucket in _buckets(signatures, *bands(threshold)):
        _connect([filled[place] for place in bucket], connected, lambda one: _find(root, one))
    return np.array(links, dtype=np.int64).reshape(len(links), 2)


def ngrams(sentence: str) -> frozenset[str]:
    """The character 4-grams of *sentence*; a shorter one is its own only n-gram.

    >>> sorted(ngrams("banana")), sorted(ngrams("ok"))
    (['anan', 'bana', 'nana'], ['ok'])
    """
    starts = range(max(1, len(sentence) - NGRAM + 1))
    return frozenset(sentence[start : start + NGRAM] for start in starts)


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Size of the intersection over size of the union.

    >>> jaccard(frozenset("ab"), frozenset("bc"))
    0.3333333333333333
    """
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def bands(threshold: float) -> tuple[int, int]:
    """(bands, rows per band): as many rows, so as few false proposals, as RECALL allows.

    >>> bands(0.9), bands(0.5)
    ((10, 6), (32, 2))
    """
    for rows in range(PERMUTATIONS // 2, 1, -1):
        count = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** count >= RECALL:
            return count, rows
    return PERMUTATIONS, 1


def _signatures(sentences: Sequence[str]) -> np.ndarray:
    """(n, PERMUTATIONS) MinHashes."""
    found = np.empty((len(sentences), PERMUTATIONS), dtype=np.uint32)  # all that they have
    every = (ngrams(sentence) for sentence in sentences)
    for row, minhash in enumerate(MinHash.generator(every, num_perm=PERMUTATIONS, hashfunc=_hash)):
        found[row] = minhash.hashvalues
    return found


def _hash(ngram: str) -> int:
    return crc32(ngram.encode("utf-8", "surrogatepass"))


def _buckets(signatures: np.ndarray, count: int, rows: int) -> Iterator[list[int]]:
    """Of every band the sentences, two or more, that agree in it."""
    for band in range(count):
        part = np.ascontiguousarray(signatures[:, band * rows : (band + 1) * rows])
        key = part.view(f"V{part.itemsize * rows}").ravel()
        _, bucket, amount = np.unique(key, return_inverse=True, return_counts=True)
        shared = np.flatnonzero(amount[bucket] > 1)
        shared = shared[np.argsort(bucket[shared], kind="stable")]
        borders = np.flatnonzero(np.diff(bucket[shared])) + 1
        yield from (each.tolist() for each in np.split(shared, borders) if len(each))


def _connect(bucket: list[int], connected: Verify, root_of: Callable[[int], int]) -> None:
    """Try neighbours first; then, between what is still apart, every pair until one holds."""
    for first, second in pairwise(bucket):
        connected(first, second)
    parts: dict[int, list[int]] = {}
    for number in bucket:
        parts.setdefault(root_of(number), []).append(number)
    for one, other in combinations(parts.values(), 2):
        any(connected(min(a, b), max(a, b)) for a in one for b in other)


def _find(root: list[int], number: int) -> int:
    while root[number] != number:
        root[number] = root[root[number]]
        number = root[number]
    return number
