"""JSON to rows of text: one object per line, or one array of objects.

Numbers and booleans keep the characters they are written with: 1 stays "1", 1e5 stays "1e5",
true stays "true". null and an absent key are empty text. An object in a cell becomes a column for
each of its fields (`labels.real-label`) where every row has one there; lists stay JSON.
Below: the list or object that a cell of any file holds.
"""

import ast
import json
from typing import Any, TypeVar

import pandas as pd

from pipeline.data.reading.encoding import clean
from pipeline.data.table import Findings


class Literal(str):
    """A number as it is written."""


class Object(list[tuple[str, Any]]):
    """Key-value pairs in file order, so that a repeated key can be seen."""


TEXTS = "text"
"""The column of an array that holds nothing but texts."""
DECODER = json.JSONDecoder(
    parse_int=Literal, parse_float=Literal, parse_constant=Literal, object_pairs_hook=Object
)


def parse_jsonl(text: str) -> tuple[pd.DataFrame, Findings, list[str]]:
    """The rows as str objects, the problems with their line numbers, and notes."""
    found = Findings()
    rows: list[tuple[str, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and (pairs := _pairs(line, f"line {number}", found)) is not None:
            rows.append((f"line {number}", pairs))
    return _table(rows, text, found)


def parse_json(text: str) -> tuple[pd.DataFrame, Findings, list[str]]:
    """The same of one array of objects, also where it is the only list of an object around it; of
    a table that is written column by column; of an object that has a row under each id; or of one
    of texts.

    A file of one object per line that is called .json is read as such.
    """
    found = Findings()
    try:
        content = DECODER.decode(text.strip())
    except json.JSONDecodeError as error:
        lines = text.strip().split("\n")
        if len(lines) > 1 and error.msg == "Extra data":
            return parse_jsonl(text)
        found.add("not JSON", f"line {error.lineno} ({error.msg} at character {error.colno})")
        return _table([], text, found)
    except RecursionError:
        found.add("not JSON", "nested too deeply")
        return _table([], text, found)
    content = _questions(content) or content
    if isinstance(content, Object):
        lists = [value for _, value in content if type(value) is list]
        content = (
            _by_columns(content) or _by_ids(content) or (lists[0] if len(lists) == 1 else [content])
        )
    content = _questions(content) or content
    if type(content) is list and content and all(type(each) is str for each in content):
        content = [Object([(TEXTS, each)]) for each in content]
    if type(content) is list and content and all(map(_is_noted, content)):
        content = [Object([(TEXTS, text), *fields]) for text, fields in content]
    rows: list[tuple[str, dict[str, Any]]] = []
    for number, item in enumerate(content if type(content) is list else [content], start=1):
        if (pairs := _checked(item, f"element {number}", found)) is not None:
            rows.append((f"element {number}", pairs))
    return _table(rows, text, found)


def _is_noted(item: Any) -> bool:
    """Whether *item* is a text with an object of what is known of it, as spaCy 2 was trained on."""
    return (
        type(item) is list
        and len(item) == 2
        and type(item[0]) is str
        and isinstance(item[1], Object)
    )


def _by_columns(content: Object) -> list[Object]:
    """The rows of a table that is written column by column, as DataFrame.to_json does: each column
    is an object with a number for each row, or a list; none where *content* is something else.

    >>> _by_columns(DECODER.decode('{"id": {"0": 7, "1": 8}, "text": {"0": "a", "1": "b"}}'))
    [[('id', '7'), ('text', 'a')], [('id', '8'), ('text', 'b')]]
    """
    names = [name for name, _ in content]
    columns: list[list[Any]] = []
    keys = set()
    for _, column in content:
        counted = isinstance(column, Object) and all(key.isdecimal() for key, _ in column)
        if not counted and type(column) is not list:
            return []
        columns.append([value for _, value in column] if counted else column)
        keys.add(tuple(key for key, _ in column) if counted else (str(len(column)),))
    if len(columns) < 2 or len(keys) > 1:
        return []
    return [Object(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _by_ids(content: Object) -> list[Object]:
    """The rows of an object that has them under their ids; none where its fields are not objects
    with the same names of fields: two objects or more, of a single field three.

    >>> _by_ids(DECODER.decode('{"a1": {"text": "x", "y": 1}, "a2": {"text": "z", "y": 2}}'))
    [[('id', 'a1'), ('text', 'x'), ('y', '1')], [('id', 'a2'), ('text', 'z'), ('y', '2')]]
    """
    rows = [value for _, value in content]
    if len(rows) < 2 or not all(isinstance(row, Object) and row for row in rows):
        return []
    named = {tuple(sorted(name for name, _ in row)) for row in rows}
    if len(named) > 1 or (len(rows[0]) == 1 and len(rows) < 3):
        return []
    name = "key" if "id" in dict(rows[0]) else "id"
    return [Object([(name, key), *row]) for key, row in content]


def _questions(content: Any) -> list[Object]:
    """A row per question of articles with paragraphs, as SQuAD, KorQuAD and KLUE-MRC have them
    (https://rajpurkar.github.io/SQuAD-explorer); none where *content* is something else.

    >>> _questions(DECODER.decode('[{"paragraphs": [{"context": "Bo.", "qas": [{"id": 7,'
    ...     '"question": "Who?", "answers": [{"text": "Bo", "answer_start": 0}]}]}]}]'))
    ... # doctest: +NORMALIZE_WHITESPACE
    [[('id', '7'), ('context', 'Bo.'), ('question', 'Who?'),
      ('answers.text', ['Bo']), ('answers.answer_start', ['0'])]]
    """
    articles = content if type(content) is list else [content]
    rows = []
    for article in articles:
        around = dict(article) if isinstance(article, Object) else {}
        if type(around.get("paragraphs")) is not list:
            return []
        for paragraph in around["paragraphs"]:
            inside = dict(paragraph) if isinstance(paragraph, Object) else {}
            if type(inside.get("qas")) is not list:
                return []
            further = {**_plain(around), **_plain(inside)}
            rows += [_question(dict(each), further) for each in inside["qas"]]
    return rows


def _question(asked: dict[str, Any], around: dict[str, Any]) -> Object:
    """The row of a question with what stands *around* it; without answers it has empty cells."""
    named = asked.pop("id", None)
    name = asked.pop("guid", named) if named is None else named
    answers = asked.pop("answers", None)
    row = {"id": name, **around, **_plain(asked)}
    if answers is not None:
        given = [dict(each) for each in answers]
        for key in ("text", "answer_start"):
            row[f"answers.{key}"] = [each.get(key) for each in given] if given else None
    return Object(row.items())


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Those that are no lists or objects."""
    return {key: value for key, value in fields.items() if not isinstance(value, list)}


def _table(
    rows: list[tuple[str, dict[str, Any]]], text: str, found: Findings
) -> tuple[pd.DataFrame, Findings, list[str]]:
    """Rows, each with its place in the file, as a table of texts."""
    notes = Findings()
    objects = flattened([pairs for _, pairs in rows])
    columns = list(dict.fromkeys(key for pairs in objects for key in pairs))
    # the only way that NUL or half a character gets into JSON; looked for once, in all of it
    escaped = "\\u" in text
    cells = []
    for (place, _), pairs in zip(rows, objects, strict=True):
        for column in columns if len(pairs) < len(columns) else ():
            if column not in pairs:
                notes.add(f"key {column!r} is absent and read as empty text", place)
        row = {key: as_text(value) for key, value in pairs.items()}
        cells.append(_cleaned(row, place, notes) if escaped else row)
    table = {column: [row.get(column, "") for row in cells] for column in columns}
    return pd.DataFrame(table, dtype=object), found, notes.sentences()


def flattened(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with a field for each field of an object, named `column.field`.

    A column stays as it is where any row has something else in it, or a name would stand twice.

    >>> flattened([{"id": 1, "labels": Object([("real", 2.5), ("binary", 1)])}])
    [{'id': 1, 'labels.real': 2.5, 'labels.binary': 1}]
    """
    taken = {key for row in rows for key in row}
    fields: dict[str, set[str]] = {}
    for key in taken:
        values = [row[key] for row in rows if row.get(key) is not None]
        if values and all(isinstance(value, Object) for value in values):
            fields[key] = {f"{key}.{name}" for value in values for name, _ in value}
    fields = {key: names for key, names in fields.items() if names and not names & taken}
    if not fields:
        return rows
    split = [
        {
            name: value
            for key, cell in row.items()
            for name, value in (
                [(f"{key}.{name}", value) for name, value in cell or ()]
                if key in fields
                else [(key, cell)]
            )
        }
        for row in rows
    ]
    return flattened(split)


def as_text(value: Any) -> str:
    """A value that DECODER read, as the text of a cell.

    >>> [as_text(DECODER.decode(line)) for line in ("1e5", "true", "null", '"a"', '["a", 1.0]')]
    ['1e5', 'true', '', 'a', '["a", 1.0]']
    """
    if isinstance(value, str):
        return str(value)
    return "" if value is None else _json(value)


def _json(value: Any) -> str:
    """JSON with numbers as they were written."""
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, Object):
        inner = (f"{_json(str(key))}: {_json(inner)}" for key, inner in value)
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_json(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _pairs(line: str, place: str, found: Findings) -> dict[str, Any] | None:
    try:
        value = DECODER.decode(line.strip())
    except json.JSONDecodeError as error:
        found.add("not JSON", f"{place} ({error.msg} at character {error.colno})")
        return None
    except RecursionError:
        found.add("not JSON", f"{place} (nested too deeply)")
        return None
    return _checked(value, place, found)


def _checked(value: Any, place: str, found: Findings) -> dict[str, Any] | None:
    if not isinstance(value, Object):
        found.add("not a JSON object, such as {...}", place)
        return None
    pairs = dict(value)
    if len(pairs) < len(value):
        found.add("a key that stands twice", place)
    return pairs


def _cleaned(row: dict[str, str], place: str, notes: Findings) -> dict[str, str]:
    cells = {}
    for column, cell in row.items():
        cells[column], removed = clean(cell)
        if removed:
            notes.add("NUL or half characters (surrogates) removed", place)
    return cells


# Lists and objects in the cells of any file.


BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), dict: ("{", "}")}
T = TypeVar("T", list[Any], dict[str, Any])


def held_in(cell: str, kind: type[T]) -> T | None:
    """The *kind* (list or dict) that a *cell* holds, as JSON or Python write it; None for none.

    >>> held_in("{'a': 1}", dict), held_in('{"a": null}', dict), held_in("a", dict)
    ({'a': 1}, {'a': None}, None)
    >>> held_in("['a', 1]", list), held_in("[true]", list), held_in("{}", list)
    (['a', 1], [True], None)
    >>> held_in("{{}}", dict), held_in("[{[1]: 2}]", list)  # Python can hash neither
    (None, None)
    """
    text, (opening, closing) = cell.strip(), BRACKETS[kind]
    if not (text.startswith(opening) and text.endswith(closing)):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, kind):
            return found
    return None
