"""Small changes to a sentence: another number, or a slip of the pen. Pure but for the *dice*."""

import re
from random import Random

NUMBER = re.compile(r"(?<![\d.:])\d+(?:\.\d+)?")
"""A number; of a clock time such as 6:30 only the hour."""


def numbers(sentence: str) -> list[str]:
    """The numbers of a sentence as they are written.

    >>> numbers("Wake me at 6:30 on 3 May, not 0.5 hours later.")
    ['6', '3', '0.5']
    """
    return NUMBER.findall(sentence)


def with_number(sentence: str, old: str, new: str) -> str:
    """*sentence* with every number that is written *old* written *new*.

    >>> with_number("At 10 we have 10 of 100.", "10", "8")
    'At 8 we have 8 of 100.'
    """
    return NUMBER.sub(lambda found: new if found[0] == old else found[0], sentence)


def another_number(old: str, dice: Random) -> str:
    """A clearly different number that could stand in the place of *old*."""
    if "." in old:
        return dice.choice([text for text in ("0.2", "0.3", "0.8", "1.5") if text != old])
    value = int(old)
    if value <= 12:
        near = [other for other in range(2, 13) if abs(other - value) >= 2]
    elif value <= 31:
        near = [other for other in range(13, 32) if abs(other - value) >= 3]
    else:
        near = [value // 2, value * 2, value * 3, value + value // 2]
    return str(dice.choice(near))


def slip(sentence: str, dice: Random) -> str:
    """*sentence* written carelessly: its case, its marks or one of its words.

    Always differs from *sentence*; a reader takes it for the same.
    """
    body = sentence.rstrip(".!?")
    slips = [
        body.lower(),
        sentence[0].lower() + body[1:],
        _typo(sentence, dice),
        _typo(body, dice),
        sentence.replace(",", "").replace(": ", " - "),
        body + " !",
    ]
    return dice.choice([text for text in slips if text != sentence])


def _typo(sentence: str, dice: Random) -> str:
    """Two neighbouring letters inside a long word change places, or one is left out."""
    words = sentence.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 5 and word.isalpha()]
    if not long:
        return sentence.replace(" ", "  ", 1)
    place = dice.choice(long)
    word = words[place]
    cut = dice.randrange(1, len(word) - 2)
    middle = word[cut + 1] + word[cut] if dice.random() < 0.5 else word[cut]
    words[place] = word[:cut] + middle + word[cut + 2 :]
    return " ".join(words)
