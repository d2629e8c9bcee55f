"""Korean texts by kiwipiepy (Kiwi, Lee 2024): spacing, spelling, morphemes. An optional extra.

What Kiwi says changes with its release, so a run's settings hold the release (`KIWI`), and folds of
two are not mixed. Texts of other languages come out as they are, or nearly.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from functools import cache, lru_cache, wraps
from typing import Any

from pipeline.base import UsageError

KIWI = "kiwipiepy"
CONTENT = ("N", "V", "MAG", "XR", "SL", "SN", "SH", "IC")
"""Tags, or what they begin with, of morphemes that say what a text is about: no particles, endings,
copulas or marks."""
AIDS = ("VX", "VCP", "VCN", "NNB")
"""Verbs and nouns among them that help others only."""


MOST_TEXTS, LONGEST = 1 << 17, 500
"""Texts that are remembered, and the characters of the longest: a few hundred MB at most."""


def remembered(change: Callable[[str], str]) -> Callable[[str], str]:
    """*change*, which is not asked twice about a text: each fold reads the same ones."""
    known = lru_cache(maxsize=MOST_TEXTS)(change)

    @wraps(change)
    def changed(text: str) -> str:
        return known(text) if len(text) <= LONGEST else change(text)

    return changed


def check_kiwi(what: str) -> None:
    """Raise UsageError where *what* needs Kiwi and it is not installed."""
    if importlib.util.find_spec(KIWI) is None:
        raise UsageError(
            f"{what} needs {KIWI}, which is not installed. Install it: "
            'pip install "foldstack[korean]"'
        )


def kiwi_release() -> str:
    """The release that is installed."""
    return importlib.metadata.version(KIWI)


@cache
def kiwi() -> Any:
    """One for all texts: it takes seconds to load."""
    check_kiwi("a transform of Korean texts")
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1)


@remembered
def space(text: str) -> str:
    """Spaces where they belong; those there are stay."""
    return str(kiwi().space(text))


@remembered
def normalise(text: str) -> str:
    """Usual misspellings and slips of the last consonant mended, and spaces put where they belong:
    맛잇어욬ㅋㅋ becomes 맛있어요ㅋㅋㅋ."""
    found = kiwi().tokenize(text, typos="basic", normalize_coda=True)
    return space(str(kiwi().join(found)))


@remembered
def morphemes(text: str) -> str:
    """Its morphemes with a space between: n-grams of words then see stems without particles."""
    return " ".join(token.form for token in kiwi().tokenize(text))


@remembered
def content_words(text: str) -> str:
    """The morphemes that carry a meaning; particles, endings and marks are left out."""
    return " ".join(
        token.form
        for token in kiwi().tokenize(text)
        if token.tag.startswith(CONTENT) and not token.tag.startswith(AIDS)
    )


def words_at(text: str) -> list[tuple[int, int]]:
    """Where each morpheme with a meaning begins and ends, as far as *text* spells it so."""
    return [
        (token.start, token.end)
        for token in kiwi().tokenize(text)
        if token.tag.startswith(CONTENT) and text[token.start : token.end] == token.form
    ]
