"""Which one or two columns hold the text."""

from collections.abc import Sequence
from itertools import combinations

from pipeline.setup.detection.choices import Doubts, Wishes
from pipeline.setup.detection.names import (
    KNOWN_PAIRS,
    MAIN_TEXTS,
    NO_TEXTS,
    TEXTS,
    last_word,
    plain_words,
    skeleton,
)
from pipeline.setup.detection.profile import Profile

FLAG = "--text COLUMN"
TWICE = f"{FLAG} (twice for pairs)"


def find_texts(shared: dict[str, Profile], wishes: Wishes, doubts: Doubts) -> list[str]:
    """One or two text columns among those that train and test share; empty where it takes a flag.

    In this order: a pair by its names (sentence1 and sentence2, premise and hypothesis), columns
    called like a text, columns that hold sentences, and at last any pair by its names.
    """
    if wishes.texts:
        return _wished(wishes.texts, shared, doubts)
    level = {name: _level(profile) for name, profile in shared.items()}
    pairs = pairs_of([name for name in shared if level[name] >= 1])
    if pairs:
        return _pair(pairs, level, doubts)
    for least in (3, 2, 1):
        candidates = [name for name in shared if level[name] >= least]
        if candidates:
            return _few(candidates, level, doubts)
    return _last_resort(shared, doubts)


def _level(profile: Profile) -> int:
    """How much a column looks like a text: 3 in name and content, 2 content, 1 name, 0 not."""
    kind = last_word(profile.name)
    if kind in NO_TEXTS or {"clean", "cleaned"} & set(plain_words(profile.name)):
        return 0
    named = kind in TEXTS or profile.name.lower() in TEXTS
    if profile.natural:
        return 3 if named else 2
    return int(named and profile.numbers < 0.5 and profile.length >= 3 and not profile.few)


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs whose names differ in a number or a, b only, or that are known to go together.

    >>> pairs_of(["prompt", "response_a", "response_b"])
    [('response_a', 'response_b')]
    """
    alike = [
        (one, other)
        for one, other in combinations(names, 2)
        if skeleton(one) == skeleton(other) and "#" in skeleton(one)
    ]
    by_kind = {last_word(name): name for name in reversed(names)}
    known = [
        (by_kind[one], by_kind[other])
        for one, other in KNOWN_PAIRS
        if one in by_kind and other in by_kind
    ]
    return alike or known


def _pair(pairs: list[tuple[str, str]], level: dict[str, int], doubts: Doubts) -> list[str]:
    ranked = sorted(pairs, key=lambda pair: -level[pair[0]] - level[pair[1]])
    best = [pair for pair in ranked if sum(level[name] for name in pair) == _sum(ranked[0], level)]
    if len(best) > 1:
        candidates = list(dict.fromkeys(name for pair in best for name in pair))
        doubts.ask(TWICE, "several columns could be a pair", candidates)
        return []
    doubts.because("columns.texts", "A pair, by the names; both hold text in train and in test.")
    _mention([name for name in level if level[name] >= 2 and name not in best[0]], doubts)
    return list(best[0])


def _sum(pair: tuple[str, str], level: dict[str, int]) -> int:
    return level[pair[0]] + level[pair[1]]


def _few(candidates: list[str], level: dict[str, int], doubts: Doubts) -> list[str]:
    main = [name for name in candidates if last_word(name) in MAIN_TEXTS]
    if len(candidates) > 2 and len(main) != 1:
        doubts.ask(TWICE, "more than two columns hold text", candidates)
        return []
    chosen = candidates if len(candidates) <= 2 else main
    if len(chosen) == 1:
        doubts.because("columns.texts", "It holds the text in train and in test.")
    else:
        doubts.because("columns.texts", "Both hold text: they are given to a model as a pair.")
    _mention([name for name in level if level[name] >= 2 and name not in chosen], doubts)
    return chosen


def _last_resort(shared: dict[str, Profile], doubts: Doubts) -> list[str]:
    paths = pairs_of([name for name, profile in shared.items() if profile.numbers < 0.5])
    paths = [pair for pair in paths if not {"id", "qid"} & set(plain_words(pair[0]))]
    if len(paths) == 1:
        doubts.because("columns.texts", "A pair, by the names.")
        if shared[paths[0][0]].sentences < 0.5:
            doubts.because(
                "columns.texts",
                "But the values are no sentences. If they are names of files, put the files' "
                "content into these columns first.",
            )
        return list(paths[0])
    natural = [name for name, profile in shared.items() if profile.natural]
    if len(natural) == 1:
        doubts.because("columns.texts", "The only column with sentences, whatever its name says.")
        return natural
    doubts.ask(TWICE, "no column of train and test is clearly a text", natural or list(shared))
    return []


def _wished(names: Sequence[str], shared: dict[str, Profile], doubts: Doubts) -> list[str]:
    missing = [name for name in names if name not in shared]
    if missing:
        doubts.ask(FLAG, f"{missing[0]!r} is not in train and test; they share", list(shared))
        return []
    if len(names) > 2:
        doubts.ask(FLAG, f"{len(names)} columns were given; a model takes one or two")
        return []
    doubts.because("columns.texts", "Given by --text.")
    return list(names)


def _mention(names: list[str], doubts: Doubts) -> None:
    if names:
        others = ", ".join(names)
        doubts.because("columns.texts", f"Text too, but not used: {others} (a model takes two).")
