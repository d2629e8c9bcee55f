"""What jsonargparse complains of, in words for people."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple[float, float]": "two numbers",
    "NoneType": "null",
}
"""Types as a person calls them."""


def explained(message: str, flags: Sequence[str], program: str) -> str:
    """*message* in words, with the nearest of the known *flags* (--name) for each unknown one."""
    known = [flag.lstrip("-") for flag in flags]
    lines = [in_words(" ".join(message.split()), flags)]
    unknown = re.findall(r"--([\w.-]+)", message) if "unrecognized" in message else []
    unknown += re.findall(r"[Oo]ption '([\w.-]+)' is not accepted", message)
    nested = re.findall(r"Group '([\w.-]+)' does not accept option '([\w.-]+)'", message)
    unknown += [".".join(pair) for pair in nested]
    if "Expected a <class 'str'>" in message:
        lines.append("text that looks like a number or a date needs quotes in YAML")
    for name in unknown:
        close = get_close_matches(name, known, n=1, cutoff=0.5)
        lines.append(f"did you mean {close[0]!r}?" if close else f"see {program} --help")
    return "; ".join(lines)


def in_words(message: str, flags: Sequence[str]) -> str:
    """What is said of a value of another type, for people; else *message* as it is."""
    found = re.search(
        r"""Parser key "([\w.]+)": (?:Expected an? |.*?Subtypes: \[)(.+?)(?:\] Errors: .*)?"""
        r"""(?:\. Got value|Given value): (.*)$""",
        message,
    )
    expected = expected_words(found[2]) if found else ""
    if found is None or not expected:
        return message
    name = found[1] if f"--{found[1]}" in flags else found[1].replace("_", "-")
    return f"{name}: expected {expected}, found {found[3].strip()!r}"


def expected_words(kinds: str) -> str:
    """The parser's name of a type in words; empty where there are none for it.

    >>> expected_words("<class 'int'>, <class 'NoneType'>"), expected_words("Literal['a', 'b']")
    ('a whole number or null', "one of 'a', 'b'")
    """
    known = re.findall(r"<class '(\w+)'>|(tuple\[float, float\])|Literal\[(.+?)\]", kinds)
    words = [
        f"one of {choices}" if choices else KINDS.get(name or pair, "")
        for name, pair, choices in known
    ]
    return " or ".join(words) if all(words) else ""
