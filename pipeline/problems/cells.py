"""Several labels in one cell: joy,fear or ['joy', 'fear']."""

import ast
import json
from collections import Counter
from collections.abc import Sequence

from pipeline.problems.label_texts import is_number

SEPARATORS = (",", ";", "|", " ")
LIST = "list"
"""In place of a separator: each cell is a list."""


def labels_in(cell: str, separator: str) -> list[str]:
    """The labels of a cell that is a list, or has them parted by *separator*.

    >>> labels_in("['joy', 'fear']", ","), labels_in("joy, fear", ",")
    (['joy', 'fear'], ['joy', 'fear'])
    """
    if cell.strip().startswith("["):
        try:
            found = ast.literal_eval(cell.strip())
        except (ValueError, SyntaxError):
            found = cell.strip(" []").split(",")
        return [str(each).strip() for each in found] if isinstance(found, list) else []
    return [part.strip() for part in cell.split(separator) if part.strip()]


def manner(separator: str, shown: Sequence[str], labels: Sequence[str]) -> str:
    """How *labels* are joined in an answer, as the answers *shown* have it: what stands between
    them, or json, python or numbers for a list.

    >>> manner(",", ["joy, fear"], []), manner("list", ["['joy']"], []), manner("list", [], ["2"])
    (', ', 'python', 'numbers')
    """
    if separator == LIST:
        quoted = any(mark in text for text in shown for mark in "'\"")
        if not quoted and all(map(is_number, labels)):
            return "numbers"
        return "python" if any("'" in text for text in shown) else "json"
    spaced = f"{separator} "
    return spaced if any(spaced in text for text in shown) and separator != " " else separator


def joined(labels: Sequence[str], how: str) -> str:
    """One cell of *labels*, joined as `manner` says.

    >>> joined(["joy", "fear"], ","), joined(["joy"], "python")
    ('joy,fear', "['joy']")
    """
    if how == "numbers":
        return f"[{', '.join(labels)}]"
    if how == "json":
        return json.dumps(list(labels), ensure_ascii=False)
    return repr(list(labels)) if how == "python" else how.join(labels)


def separator_of(cells: Sequence[str]) -> str:
    """What parts the labels in the distinct *cells*, "list" for lists; empty for one label each.

    Without lists, the parts have to be labels themselves: fewer than the cells, each in several of
    them, and a cell of several has no part twice.

    >>> separator_of(["joy", "joy,fear", "fear", "joy,rage", "rage"]), separator_of(["a b", "c d"])
    (',', '')
    """
    lists = bool(cells) and all(cell.strip().startswith("[") for cell in cells)
    if lists:
        held = [labels_in(cell, LIST) for cell in cells]
        labels = {label for each in held for label in each}
        return LIST if max(map(len, held)) > 1 and len(labels) < len(cells) else ""
    for separator in SEPARATORS:
        parts = [labels_in(cell, separator) for cell in cells]
        amount = Counter(part for each in parts for part in each)
        several = [each for each in parts if len(each) > 1]
        doubled = any(len(set(each)) < len(each) for each in several)
        alone = {each[0] for each in parts if len(each) == 1}
        together = {part for each in several for part in each}
        if len(several) < 2 or doubled or len(amount) >= len(cells):
            continue
        if min(amount.values()) >= 2 and len(together & alone) >= len(together) / 2:
            return separator
    return ""
