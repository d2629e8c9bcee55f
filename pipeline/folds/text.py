"""One spelling for texts that a reader would call the same.

Used to find shared sentences and to notice changed texts. What models read is never normalised.
"""

import re
import unicodedata

import numpy as np

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
