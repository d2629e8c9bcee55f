"""Pairs of sentences, each of a kind that says how alike the two are meant to be.

Pairs are made inside a cluster: two or three scenes of one source that share words. Sentences thus
occur in several pairs, but what hangs together stays small enough for folds.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from random import Random

from demo.alter import another_number, numbers, slip, with_number
from demo.scenes import Scene

Cluster = tuple[Scene, ...]
Texts = tuple[str, str]
WORD = re.compile(r"[a-z0-9]+")
DENIALS = {"not", "no", "never", "nobody", "nothing", "cannot", "without", "refused"}


@dataclass(frozen=True)
class Pair:
    """Two sentences and how they came about."""

    source: str
    kind: str
    texts: Texts


def words(sentence: str) -> set[str]:
    """The words of a sentence in lower case.

    >>> sorted(words("At 6, at home."))
    ['6', 'at', 'home']
    """
    return set(WORD.findall(sentence.lower()))


def overlap(first: str, second: str) -> float:
    """Jaccard similarity of the two sentences' words, in [0, 1].

    >>> overlap("We won the cup.", "We lost the cup!")
    0.6
    """
    one, other = words(first), words(second)
    return len(one & other) / len(one | other)


def clusters(scenes: Sequence[Scene], dice: Random) -> list[Cluster]:
    """*scenes* of one source, two by two: each with the one left that shares most words.

    An odd one joins the last two.
    """
    left = list(scenes)
    dice.shuffle(left)
    vocabulary = {scene.name: words(" ".join(scene.sentences)) for scene in left}
    found: list[Cluster] = []
    while len(left) > 1:
        first = left.pop()
        shared = [len(vocabulary[first.name] & vocabulary[scene.name]) for scene in left]
        found.append((first, left.pop(shared.index(max(shared)))))
    return [*found[:-1], (*found[-1], *left)]


def candidates(kind: str, cluster: Cluster, dice: Random) -> list[Pair]:
    """Every pair of one *kind* that *cluster* offers, in random order and on random sides."""
    pairs = [pair for pair in MAKERS[kind](cluster, dice) if pair[0] != pair[1]]
    dice.shuffle(pairs)
    source = cluster[0].source
    turned = [texts if dice.random() < 0.5 else (texts[1], texts[0]) for texts in pairs]
    return [Pair(source, kind, texts) for texts in turned]


def _same(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    return [pair for scene in cluster for pair in combinations(scene.same, 2)]


def _copy(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    return [(text, slip(text, dice)) for scene in cluster for text in scene.sentences]


def _less(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    return [pair for scene in cluster for pair in product(scene.same, scene.less)]


def _differs(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    return [pair for scene in cluster for pair in product(scene.same, scene.differs)]


def _number(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    """Two wordings, or one twice, of which one has another number."""
    for scene in cluster:
        for first, second in product(scene.same + scene.less, scene.same):
            for old in sorted(set(numbers(first)) & set(numbers(second))):
                yield first, with_number(second, old, another_number(old, dice))


def _denied(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    for scene in cluster:
        denied = [text for text in scene.opposed if words(text) & DENIALS]
        yield from product(scene.same, denied)


def _turned(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    for scene in cluster:
        turned = [text for text in scene.opposed if not words(text) & DENIALS]
        yield from product(scene.same, turned)


def _topic(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    for scene in cluster:
        yield from product(scene.same + scene.less + scene.differs + scene.opposed, scene.topic)


def _across(cluster: Cluster) -> list[Texts]:
    """Pairs over two scenes, those that share most words first."""
    across = [
        pair
        for one, other in combinations(cluster, 2)
        for pair in product(one.sentences, other.sentences)
    ]
    return sorted(across, key=lambda pair: (-overlap(*pair), pair))


def _lookalike(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    return _across(cluster)[:12]


def _unrelated(cluster: Cluster, dice: Random) -> Iterable[Texts]:
    return _across(cluster)[12:]


MAKERS: dict[str, Callable[[Cluster, Random], Iterable[Texts]]] = {
    "same": _same,
    "copy": _copy,
    "less": _less,
    "differs": _differs,
    "number": _number,
    "denied": _denied,
    "turned": _turned,
    "topic": _topic,
    "lookalike": _lookalike,
    "unrelated": _unrelated,
}
