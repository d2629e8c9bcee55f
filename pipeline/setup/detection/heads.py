"""Several independent targets of classes: a column each, or one of each joined in a cell.

Ordinary classes have hyphens too (sci-fi, B-PER, en-GB), so cells count as joined only where other
columns of train prove it, or where the parts combine like the cells of a table. What was chosen is
said, with the flag that says otherwise.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import pandas as pd

from pipeline.base import DataError
from pipeline.problems.heads import JOINS, NAMED, parting, parts_of
from pipeline.problems.label_texts import canonical, is_number
from pipeline.problems.registry import problem_of
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.profile import Profile

MOST = 50
"""Classes that one of several targets has at most."""
NEARLY = 0.5
"""Share of all combinations that occur, from which joined cells look like a product."""
TAGS = set("BILOSUEM")
"""First parts of tags of tokens, such as B-PER."""
OTHERWISE = "As one class of {} instead: --problem multiclass."


@dataclass(frozen=True, kw_only=True)
class JointTargets:
    """H targets of classes, and why they were taken for that."""

    classes: list[str]
    """Head by head, as task.classes has them."""
    separator: str | None
    """What joins one of each in a cell of train or of the sample; None where nothing does."""
    reason: str


def find_heads(
    train: pd.DataFrame,
    targets: Sequence[Profile],
    shown: Sequence[str],
    overrides: Overrides,
    choices: Choices,
) -> JointTargets | None:
    """The targets as heads, or None where they are not.

    Args:
        train: all columns of the training file.
        targets: profiles of the target columns.
        shown: the distinct answers of the sample's one column; none where it has several.
    """
    each = "one of each"
    asked = bool(overrides.problem) and problem_of(overrides.problem).in_a_cell == each
    if overrides.problem and not asked:
        return None
    if len(targets) == 1:
        return _in_one_column(train, targets[0], asked, choices)
    if not asked and not _classes_each(targets):
        return None
    if endless := [each.name for each in targets if each.numeric and each.distinct > MOST]:
        choices.ask(
            "--target COLUMN",
            f"for heads every target has classes; these hold more than {MOST} different numbers",
            endless,
        )
        return None
    columns = [each.values for each in targets]
    between = separator_shown(shown, columns)
    told = f", joined by {between!r} in the sample submission" if between else ""
    names = [each.name for each in targets]
    return JointTargets(
        classes=_named(names, columns),
        separator=between,
        reason=f"{len(targets)} columns of few classes each{told}: one class of each is predicted.",
    )


def _classes_each(targets: Sequence[Profile]) -> bool:
    """Whether every column has few values that come again, not all of them numbers or flags."""
    few = all(2 <= each.distinct <= MOST and each.repeats >= 2 for each in targets)
    return few and not all(each.numeric for each in targets)


def _in_one_column(
    train: pd.DataFrame, target: Profile, asked: bool, choices: Choices
) -> JointTargets | None:
    between = parting(target.values)
    if not between:
        if asked:
            choices.ask(
                "--target COLUMN (repeatable)",
                f"for heads {target.name!r} has to hold a class of each target, all joined in the "
                "same way (fact-past-sure); or name a column per target",
                target.values,
            )
        return None
    behind = _columns_behind(train, target, between)
    if not (asked or behind or is_product(target.values, between)):
        return None
    columns = [list(own) for own in zip(*_parts(target.values, between), strict=True)]
    heads = behind or [f"{target.name}_{place + 1}" for place in range(len(columns))]
    proof = f" as train has them, {', '.join(behind)}" if behind else ""
    return JointTargets(
        classes=_named(heads, columns),
        separator=between,
        reason=(
            f"Each cell of {target.name!r} joins {len(columns)} classes by {between!r}{proof}, "
            f"such as {target.values[0][:60]!r}: {len(columns)} targets. "
            f"{OTHERWISE.format(target.distinct)}"
        ),
    )


def _columns_behind(train: pd.DataFrame, target: Profile, between: str) -> list[str]:
    """The columns of *train* that the cells of *target* join, in their order; none where one of
    them is missing."""
    parts_by_cell = {cell: parts_of(cell, between) for cell in pd.unique(train[target.name])}
    rows = [parts_by_cell[cell] for cell in train[target.name]]
    whole = len(parts_of(target.values[0], between))
    if any(len(parts) != whole for parts in rows):
        return []
    stripped = {
        str(name): train[name].str.strip().tolist() for name in train.columns if name != target.name
    }
    behind = []
    for own in map(list, zip(*rows, strict=True)):
        equal = [name for name, cells in stripped.items() if cells == own and name not in behind]
        behind += equal[:1]
    return behind if len(behind) == whole else []


def is_product(cells: Sequence[str], between: str) -> bool:
    """Whether the parts of the distinct *cells* combine as independent targets do.

    No part is a number, a tag's beginning, or stands in two places; there are more cells than
    parts, and they are at least half of all combinations.

    >>> tenses, kinds = ("past", "now", "later"), ("fact", "guess")
    >>> is_product([f"{kind}-{tense}" for kind in kinds for tense in tenses], "-")
    True
    >>> is_product(["sci-fi", "non-fiction", "hip-hop"], "-")
    False
    """
    columns = [set(own) for own in zip(*_parts(cells, between), strict=True)]
    parts = set().union(*columns)
    if any(map(is_number, parts)) or columns[0] <= TAGS or len(parts) < sum(map(len, columns)):
        return False
    few = all(2 <= len(own) <= MOST for own in columns)
    occurring = len(set(map(tuple, _parts(cells, between))))
    return few and len(parts) < occurring and occurring >= NEARLY * prod(map(len, columns))


def separator_shown(shown: Sequence[str], columns: Sequence[Sequence[str]]) -> str | None:
    """What joins a value of each of *columns* in every answer *shown*; None where nothing does."""
    known = [set(map(canonical, own)) for own in columns]
    for between in JOINS:
        parts = [parts_of(text, between) for text in shown]
        if parts and all(
            len(own) == len(known)
            and all(canonical(part) in values for part, values in zip(own, known, strict=True))
            for own in parts
        ):
            return between
    return None


def joined_columns(
    shown: Sequence[str], candidates: Sequence[Profile], most: int = MOST
) -> list[str]:
    """The columns, one of *candidates* for each part, that the answers *shown* join in their order;
    none where it is not one column each."""
    for between in JOINS:
        parts = [parts_of(text, between) for text in shown]
        if not parts or {len(own) for own in parts} != {len(parts[0])} or len(parts[0]) < 2:
            continue
        found = []
        for own in zip(*parts, strict=True):
            held = [
                each.name
                for each in candidates
                if each.distinct <= most
                and {*map(canonical, own)} <= {*map(canonical, each.values)}
            ]
            found += held if len(held) == 1 else []
        if len(found) == len(parts[0]) == len(set(found)):
            return found
    return []


def heads_classes(heads: JointTargets, overrides: Overrides, choices: Choices) -> list[str]:
    """task.classes of *heads*: head by head, or as --classes gives them."""
    if overrides.classes:
        if left := [name for name in heads.classes if name not in overrides.classes]:
            choices.ask("--classes HEAD=CLASS …", "train has further classes", left)
        choices.because("task.classes", "Given by --classes.")
        return list(overrides.classes)
    choices.because("task.classes", "Each with its target, sorted.")
    if heads.separator:
        choices.because("task.separator", "How the cells have it.")
    return heads.classes


def _parts(cells: Sequence[str], between: str) -> list[list[str]]:
    return [parts_of(cell, between) for cell in cells if cell.strip()]


def _named(heads: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """task.classes for the classes that stand in *columns*, one for each of *heads*."""
    classes = []
    for head, own in zip(heads, columns, strict=True):
        plain = {canonical(value): unicodedata.normalize("NFC", value.strip()) for value in own}
        classes += [
            f"{head.replace(NAMED, '_')}{NAMED}{name}"
            for name in sorted(plain.values(), key=by_value)
        ]
    return classes


def by_value(text: str) -> tuple[float, str]:
    """Numbers by their value, then words."""
    return (float(text), text) if is_number(text) else (float("inf"), text)


def refuse_votes(targets: Sequence[Profile], answers: Mapping[str, Sequence[str]]) -> None:
    """Raise DataError where labels are counts, and the sample has shares that sum to one."""
    shown = [answers.get(target.name, []) for target in targets]
    counts = [value for target in targets for value in target.values]
    if len(targets) < 3 or not all(shown) or not all(map(str.isdecimal, counts)):
        return
    firsts = [float(texts[0]) for texts in shown if is_number(texts[0])]
    many = max(map(int, counts)) > 1
    if many and len(firsts) == len(targets) and min(firsts) > 0 and abs(sum(firsts) - 1) < SURPLUS:
        raise DataError(
            f"the columns {', '.join(target.name for target in targets)} hold counts, and the "
            "sample submission has shares that sum to 1 in a row. Divide each row of the training "
            "file by its sum: the columns are soft labels then"
        )


SURPLUS = 0.02
"""What rounded shares of a row may differ from 1 in sum."""
