"""A competition's YAML with a comment at each choice: what it is, why, and what else it could be.

A pure function; what it returns reads back through `pipeline.base.parser` as the same Competition.
"""

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import yaml

from pipeline.base import Competition
from pipeline.base.config import as_dict
from pipeline.problems.registry import TYPES

WIDTH = 100
BY_NAME, ROLES = "By its name.", ("train", "test", "sample_submission")
"""Files whose names say what they are stand in one line."""
MOST_SHOWN, LINE = 12, 56
"""Of a long list on the terminal: entries, and characters."""
PLAIN = re.compile(r"(?:[^\W\d_]|\.{0,2}/)[\w./-]*")
FIELDS: dict[str, tuple[str, ...]] = {
    "data": ("train", "test", "sample_submission", "holdout", "extra_train", "encoding"),
    "columns": ("id", "texts", "targets", "features"),
    "task": ("problem", "metric", "classes", "label_range", "submit"),
    "folds": ("count", "seed", "stratify_by", "groups", "group_columns"),
    "submissions": (),
}
SELDOM: dict[str, Any] = {
    "data.joins": [],
    "data.files": [],
    "columns.template": [],
    "columns.entities": [],
    "columns.unit": "given",
    "columns.space_after": None,
    "columns.question": None,
    "data.short_sample": False,
    "task.class_codes": [],
    "task.separator": None,
    "task.unlabelled": None,
    "folds.whole": 1.0,
    "folds.rare": "refuse",
    "submissions.benchmark": None,
}
"""Fields that stand in the file only where they are not as usual."""
INPUTS = ("data.joins", "data.files", "columns.template", "columns.entities", "columns.question")
"""Of these, those that are said on the terminal as well: they decide what a model reads."""
SECTIONS = {
    "data": "The files. Relative paths start at --root (default: the current folder).",
    "columns": "Which column is what.",
    "task": "What is predicted and how it is scored.",
    "folds": "How the training rows are split; frozen at first use. Further fields: repeats, bins, "
    "near_threshold, file (python -m pipeline.cv --help).",
    "submissions": "How files are sent. Further fields: per_day, until, public_share, kaggle.",
}


def _either(names: list[str]) -> str:
    """The *names* as a choice.

    >>> _either(["rain", "snow", "hail"])
    'rain, snow or hail'
    """
    return f"{', '.join(names[:-1])} or {names[-1]}"


CHANGES: dict[str, str] = {
    "data.holdout": "Scored, never trained on. To train on a file in every fold instead, move it "
    "to extra_train.",
    "data.extra_train": "Trained on in every fold, never scored.",
    "columns.texts": "One column for single texts, two for pairs.",
    "columns.template": "What a model reads of a row: columns in braces, [SEP] between texts; two "
    "entries for pairs. A recipe may have another one (template). Without it: the texts.",
    "data.joins": "Tables beside the rows: file, to (whose rows get the columns), key, columns; "
    "file_key where the file calls the key otherwise, prefix for names that stand in both.",
    "data.files": "Files that are read in a way of their own: names of the columns where there "
    "is no header, encoding, broken: skip for lines that are no whole rows, numbers: how 1234.5 or "
    "1.5 is written in a column (1,5; 1.234,5; 1,234.5; 1.5%).",
    "columns.entities": "Entities in a text, by the places of their characters, for "
    "{text!marked} in the template.",
    "columns.unit": "What has a tag: given (each cell of texts is a list), character or word.",
    "columns.space_after": "A list of whether a space follows each given unit.",
    "columns.question": "What is asked of the text: a question, or a label.",
    "columns.features": "Further columns that train and test share; folds can use them.",
    "task.problem": f"Possible: {_either([each.described for each in TYPES.values()])}.",
    "task.classes": "Prediction columns have this order; for binary: negative, positive; for heads "
    "TARGET=CLASS, target by target.",
    "task.label_range": "[lowest, highest] possible label, or null where there are no such ends.",
    "task.submit": "Possible: value (number, probability), label (class), or auto: as the sample "
    "submission shows.",
    "folds.stratify_by": "Columns of train whose shares are kept equal over the folds.",
    "folds.group_columns": "Columns whose equal values keep rows in one fold as well.",
    "folds.groups": "Rows that share a sentence stay in one fold: near (nearly the same), exact "
    "or none.",
    "task.class_codes": "What the submission writes for each of classes, in their order.",
    "data.short_sample": "Whether the sample shows some rows only; the submission has all.",
    "task.separator": "What parts several labels in one cell, or joins one class of each of "
    "several targets; list: each cell is a list.",
    "task.unlabelled": "What stands in place of a label in rows that have none: they are left out.",
    "folds.rare": "What becomes of a class of a single row: refuse, or train-only (never scored).",
    "submissions.benchmark": "ensemble writes the file that its own evaluation takes, too.",
    "folds.whole": "Share of the groups that stay whole; the others are split, as some test rows "
    "have relatives in train and some have none.",
}


def render(
    competition: Competition, reasons: Mapping[str, str], metrics: Sequence[str] = ()
) -> str:
    """The YAML text of *competition*.

    *reasons* say why a field (task.metric) has its value; *metrics* are those that fit.
    """
    changes = {**CHANGES, "task.metric": f"Fitting: {', '.join(metrics)}." if metrics else ""}
    values = as_dict(competition)
    lines = [
        *_comment("Written by python -m pipeline.init; yours to change. Every field is an option "
                  "of the other commands too: --task.metric rmse", ""),
        f"name: {scalar(competition.name)}",
    ]  # fmt: skip
    for section, fields in FIELDS.items():
        usual = {key.partition(".")[2]: SELDOM[key] for key in SELDOM if key.startswith(section)}
        unusual = [n for n, value in usual.items() if values[section].get(n, value) != value]
        if not fields and not unusual:
            continue
        lines += ["", *_comment(SECTIONS[section], ""), f"{section}:"]
        for name in (*fields, *unusual):
            key = f"{section}.{name}"
            said = [*reasons.get(key, "").split("\n"), changes.get(key, "")]
            lines += [line for sentence in said for line in _comment(sentence, "  ")]
            lines += _entry(name, values[section][name])
    return "\n".join(lines) + "\n"


def summary(competition: Competition, reasons: Mapping[str, str]) -> str:
    """The choices for the terminal: field, value and reason, fields without a reason left out."""
    values = as_dict(competition)
    files = [key for key in ROLES if reasons.get(f"data.{key}") == BY_NAME]
    lines, alike = [], len(files) == len(ROLES)
    if alike:
        shown = ", ".join(str(values["data"][key]) for key in files)
        lines = _summed("files", shown, "By their names.")
    for section, fields in FIELDS.items():
        for name in fields:
            told = alike and section == "data" and name in ROLES
            if (reason := reasons.get(f"{section}.{name}")) and not told:
                value = values[section][name]
                shown = _listed(value) if isinstance(value, list) else value
                lines += _summed(name, "none" if shown in (None, "") else str(shown), reason)
        for key in INPUTS:
            name = key.removeprefix(f"{section}.")
            if name != key and (entries := values[section].get(name)):
                listed = entries if isinstance(entries, list) else [entries]
                shown = " | ".join(map(_in_a_line, listed))
                lines += _summed(name, shown, reasons.get(key, ""))
    return "\n".join(lines)


def _listed(values: Sequence[Any]) -> str:
    """The first of many *values*: 300 classes would fill more than a screen.

    >>> _listed(range(100))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … (100)'
    """
    if len(values) <= 2 * MOST_SHOWN:
        return ", ".join(map(str, values))
    lengths = accumulate(len(str(value)) + 2 for value in values[:MOST_SHOWN])
    shown = max(sum(length <= LINE for length in lengths), 1)
    return f"{', '.join(map(str, values[:shown]))}, … ({len(values)})"


def _in_a_line(entry: Any) -> str:
    """One entry of a list, short: a join, an entity, a text."""
    if not isinstance(entry, dict):
        return str(entry)
    if "text" not in entry and "key" not in entry:
        own = [f"{entry['file']}:", *entry.get("names", [])]
        further = [f"{name} {entry[name]}" for name in ("encoding", "broken") if name in entry]
        further += [f"{name} as {how}" for name, how in entry.get("numbers", {}).items()]
        return " ".join([*own, *further])
    if "key" in entry:
        given = f"{entry['file']} to {' and '.join(entry['to'])} by {entry['key']}"
        return f"{given}: {', '.join(entry['columns'])}"
    return f"{entry['text']} from {entry['start']} to {entry['end']}: {entry['mark']}"


def _summed(name: str, value: str, reason: str) -> list[str]:
    indent = " " * 22
    lines = textwrap.wrap(
        f"{value}   ({' '.join(reason.split())})",
        WIDTH,
        initial_indent=f"  {name:<20}",
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return lines


def scalar(value: Any) -> str:
    """One value in YAML that reads back as itself, quoted where it could pass for another type.

    >>> [scalar(value) for value in ("label", "1", "yes", "데이터", "a: b", None, 0.5)]
    ['label', '"1"', '"yes"', '데이터', '"a: b"', 'null', '0.5']
    """
    if not isinstance(value, str):
        return "null" if value is None else json.dumps(value)
    if PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    quoted = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=2**31)
    return str(quoted).rstrip("\n")


def _entry(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        return [f"  {name}: {scalar(value)}"]
    if value and isinstance(value[0], dict):
        return [f"  {name}:", *(line for entry in value for line in _section(entry))]
    inline = f"  {name}: [{', '.join(scalar(inner) for inner in value)}]"
    if len(inline) <= WIDTH:
        return [inline]
    return [f"  {name}:", *(f"    - {scalar(inner)}" for inner in value)]


def _section(entry: Mapping[str, Any]) -> list[str]:
    """One of a list of sections, a line per field."""
    lines = [line for name, value in entry.items() for line in _entry(name, value)]
    return [f"  {'  - ' if place == 0 else '    '}{line[2:]}" for place, line in enumerate(lines)]


def _comment(sentence: str, indent: str) -> list[str]:
    start = f"{indent}# "
    # a reason may quote a cell; whatever it holds, it must not end the comment
    safe = "".join(character if character.isprintable() else " " for character in sentence)
    return textwrap.wrap(
        safe, WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False
    )
