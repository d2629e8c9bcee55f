"""Which rows belong together: they share a sentence, exactly or nearly, or the value of a column.

Rows and sentences are the nodes of a graph, and a group is what hangs together in it. If a group is
never cut by a fold, no learner has seen half of a pair that it is asked about.

What links: any side with any side, so a swapped pair links with its original; a sentence exactly
like another after `text.normalise`, however short; with how="near" also one as near to another as
`near.near_pairs` says. What does not: an empty text, an empty column value. A generic sentence that
stands in every twentieth pair does glue them into one giant group. That is the truth about such
data, so it is neither hidden nor cut: `describe` shows it, and a person may choose another `how`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import combinations, pairwise
from zlib import crc32

import numpy as np
import pandas as pd
from datasketch import MinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.base.config import GroupBy as How

# Which sentences are nearly equal: Jaccard similarity of character 4-grams, through MinHash-LSH.
#
# MinHash-LSH only proposes pairs; each one is verified on the 4-grams themselves, so that no pair
# below the threshold is ever returned. What can be missed is a pair that shares no band of its
# MinHashes: the bands are chosen so that this happens to less than one pair in a thousand at the
# threshold, and less the nearer the pair. benchmarks/results/folds.md compares with brute force.


NGRAM = 4
PERMUTATIONS = 64
RECALL = 0.999
"""Chance that a pair exactly at the threshold is proposed."""
CACHED = 8192
REMEMBERED = 8
"""Searches whose answers are kept: one command asks of the same sentences up to three times."""
_FOUND: dict[bytes, np.ndarray] = {}

Verify = Callable[[int, int], bool]


def near_pairs(sentences: Sequence[str], threshold: float) -> np.ndarray:
    """(p, 2) numbers of sentences with a similarity of at least *threshold*.

    Not every such pair: of a cluster just enough to connect it, which is all that grouping needs
    and keeps ten thousand near-copies of one sentence from becoming fifty million pairs.

    Args:
        sentences: distinct and normalised; empty ones are like nothing.
        threshold: in (0, 1].
    """
    asked = _digest(sentences, threshold)
    if asked not in _FOUND:
        if len(_FOUND) >= REMEMBERED:
            del _FOUND[next(iter(_FOUND))]
        _FOUND[asked] = _search(sentences, threshold)
    return _FOUND[asked].copy()


def _digest(sentences: Sequence[str], threshold: float) -> bytes:
    """What is asked, in 32 bytes: the sentences themselves are not kept alive."""
    content = sha256(repr(threshold).encode())
    for sentence in sentences:
        written = sentence.encode("utf-8", "surrogatepass")
        content.update(b"%d:" % len(written))
        content.update(written)
    return content.digest()


def _search(sentences: Sequence[str], threshold: float) -> np.ndarray:
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


# One spelling for texts that a reader would call the same.
#
# Used to find shared sentences and to notice changed texts. What models read is never normalised.


VERSION = 1
"""Goes up when `normalise` gives another result for any text: passports name it."""

INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)
"""Control and format characters, joiners, variation selectors, fillers, byte order marks."""

EDGE = ".,;:!?…·。、！？\"'`´‘’‚‛“”„‟«»‹›「」『』"
"""Sentence marks and quotes: they go where they open or close a text, they stay inside it."""


def normalise(text: str) -> str:
    """*text* in Unicode form NFKC, case folded, invisible characters gone, spaces folded.

    Sentence marks and quotes at either end go too, unless nothing else is left. Normalising twice
    is normalising once. Full-width and half-width forms, no-break spaces and ligatures become the
    plain ones; accents, digits, symbols and emoji stay.

    >>> normalise("  “ＡＩ” is\\u200b\\u00a0here!! "), normalise("ai” is here")
    ('ai” is here', 'ai” is here')
    >>> normalise("..."), normalise("C#"), normalise(" ")
    ('...', 'c#', '')
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    if not text.isascii():  # folding may take characters apart, invisible ones may stand between
        text = unicodedata.normalize("NFKC", INVISIBLE.sub("", text))
    text = " ".join(INVISIBLE.sub("", text).split())
    return text.strip(EDGE + " ") or text


def normalise_all(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct normalised texts, and for each text its number among them.

    Args:
        texts: str objects of any shape.

    Returns:
        (distinct,) str objects in order of first appearance, and numbers of the shape of *texts*.
    """
    number: dict[str, int] = {}
    seen: dict[str, int] = {}
    codes = np.empty(texts.size, dtype=np.int64)
    for place, text in enumerate(texts.ravel().tolist()):
        code = seen.get(text)
        if code is None:
            code = seen[text] = number.setdefault(normalise(text), len(number))
        codes[place] = code
    return np.array(list(number), dtype=object), codes.reshape(texts.shape)


@dataclass(frozen=True, kw_only=True)
class GroupFacts:
    """What a person should know about the groups of a table."""

    count: int
    """Number of groups."""
    largest: int
    """Rows in the largest group."""
    largest_group: int
    """Its number."""
    shared: float
    """Share of the rows that stand in a group with another row."""


def connect(
    texts: np.ndarray, how: How, threshold: float = 0.9, columns: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """(n,) the number of each row's group, 0 … in order of first appearance.

    Args:
        texts: (n, s) str objects, as read.
        how: sentences link rows when they are "near" or "exact"; with "none" only *columns* do.
        threshold: similarity from which sentences are near, in (0, 1].
        columns: further columns, each (n,) str objects, whose equal values link rows.

    >>> connect(np.array([["a b", "c"], ["d", "A  b."], ["e", ""], ["f", ""]], object), "exact")
    array([0, 0, 1, 2])
    """
    nodes = len(texts)
    links = [np.empty((0, 2), dtype=np.int64)]
    if how != "none":
        sentences, number = normalise_all(texts)
        filled = sentences[number] != ""
        links.append(np.column_stack([np.nonzero(filled)[0], nodes + number[filled]]))
        if how == "near":
            links.append(nodes + near_pairs(sentences.tolist(), threshold))
        nodes += len(sentences)
    for column in columns:
        value, values = pd.factorize(column)
        filled = values[value] != ""
        links.append(np.column_stack([np.flatnonzero(filled), nodes + value[filled]]))
        nodes += len(values)
    return first_appearance(_components(np.concatenate(links), nodes)[: len(texts)])


def describe(group_of_row: np.ndarray) -> GroupFacts:
    """Count, largest and share of rows in groups of two or more, for (n,) group numbers.

    >>> describe(np.array([0, 0, 1, 2]))
    GroupFacts(count=3, largest=2, largest_group=0, shared=0.5)
    """
    sizes = np.bincount(group_of_row)
    return GroupFacts(
        count=int((sizes > 0).sum()),
        largest=int(sizes.max()),
        largest_group=int(sizes.argmax()),
        shared=float(sizes[sizes > 1].sum() / len(group_of_row)),
    )


def looser(how: How, columns: Sequence[str]) -> str:
    """What to change in the config so that fewer rows stay together.

    >>> looser("near", []), looser("none", ["author"])
    ('set folds.groups to exact or none', 'take author out of folds.group_columns')
    """
    ways = {"near": "set folds.groups to exact or none", "exact": "set folds.groups to none"}
    told = [ways[how]] if how in ways else []
    told += [f"take {', '.join(columns)} out of folds.group_columns"] if columns else []
    return " or ".join(told)


def first_appearance(labels: np.ndarray) -> np.ndarray:
    """Any (n,) labels as numbers 0 … in the order in which they first appear.

    >>> first_appearance(np.array(["b", "a", "b"]))
    array([0, 1, 0])
    """
    return np.asarray(pd.factorize(labels)[0], dtype=np.int64)


def _components(links: np.ndarray, nodes: int) -> np.ndarray:
    """(nodes,) the connected component of each node of an undirected graph."""
    ones = np.ones(len(links), dtype=np.int8)
    graph = coo_array((ones, (links[:, 0], links[:, 1])), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1])
