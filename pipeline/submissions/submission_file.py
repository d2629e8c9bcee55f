"""The submission guard: a file joined on id to the sample, whole and right, or no file at all.

Header, ids and their order are the sample's. Anything missing, extra, duplicated or not finite is
refused before a byte is written; so is what was sent before. The file is byte-faithful: ids and
classes stand in it as they stand in the competition's files, so it is *not* escaped against
spreadsheet formulas.

    submissions/COMP-001-METHOD.csv     what the leaderboard gets; numbered, never overwritten
    submissions/COMP-001-METHOD.json    where it came from

`try_submission` builds it once before there are predictions: whatever would keep it from being
written is said before hours go into training.
"""

import contextlib
import csv
import hashlib
import io
import json
import math
import platform
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from unicodedata import normalize

import numpy as np

from pipeline import __version__
from pipeline.base import ArtifactError, Competition, DataError, UsageError, raise_if, read_json
from pipeline.base.files import commit_bytes, commit_json, commit_text, sha256
from pipeline.base.leases import lease
from pipeline.base.paths import safe_name
from pipeline.data import Table, Tables, compare, doubled, places_of
from pipeline.data.reading.delimited import Layout
from pipeline.data.reading.parts import parts_of, sheet_of
from pipeline.data.sample import Sample
from pipeline.metrics import Metric, MetricError
from pipeline.problems.form import Form
from pipeline.problems.label_texts import NumberForm
from pipeline.problems.registry import problem_of
from pipeline.submissions.already_sent import refuse_sent

SUFFIXES = (".csv", ".tsv", ".txt")
"""How the name of a submission may end."""
EXAMPLES = 5
EXPECTED = ("expected", "expected_notes")
METHOD = "[a-z]+(?:-[a-z]+)*"
"""Of a file's name: words without digits, so that no competition's files pass for another's."""


def check(ids: Sequence[str], sample_ids: Sequence[str], predicted: np.ndarray) -> None:
    """Raise DataError unless *predicted* (m, k), or (m,) texts, fits the sample's ids one to one,
    rows as *ids*.

    All problems are told at once, each with its count and first ids.
    """
    differ = compare(ids, sample_ids)
    problems = [
        *_counted(list(doubled(sample_ids)), "ids stand more than once in the sample submission"),
        *_counted(differ.doubled, "ids stand more than once in the test file"),
        *_counted(differ.missing, "ids of the sample submission have no prediction"),
        *_counted(differ.surplus, "predicted ids are not in the sample submission"),
    ]
    texts = predicted.dtype == object
    good = list(map(str.strip, predicted)) if texts else np.isfinite(predicted).all(axis=1)
    broken = [name for name, each in zip(ids, good, strict=True) if not each]
    what = "an empty text" if texts else "a prediction that is not finite"
    problems += _counted(broken, f"rows have {what}")
    raise_if(problems, DataError, "no submission was written")


def _counted(names: Sequence[str], what: str) -> list[str]:
    if not names:
        return []
    return [f"{len(names)} {what}, first {', '.join(map(repr, names[:EXAMPLES]))}"]


def build(sample: Sample, ids: Sequence[str], filled: Mapping[str, Sequence[str]]) -> bytes:
    """The file: separated and quoted as the sample is, LF line ends, UTF-8.

    Args:
        sample: gives header, ids, order, and the texts of columns that are not filled.
        ids: (m,) the rows of *filled*, in any order.
        filled: column -> (m,) texts; where the sample writes one of them in other characters that
            look the same (NFD, as macOS does), so is it here.
    """
    sample_ids = sample.ids.tolist()
    order = places_of(sample_ids, ids, "the rows of the submission").tolist()
    count = [str(row) for row in range(len(sample_ids))]
    cells: dict[str, Sequence[str]] = dict.fromkeys(sample.counts, count)
    numbers = _number_forms(sample)
    for position, name in enumerate(sample.columns):
        given = filled.get(name)
        kept = sample.values[:, position].tolist()
        form = numbers.get(name)
        if given is None:
            cells[name] = kept if form is None else list(map(form.written, kept))
            continue
        spelled = {normalize("NFC", each): each for each in set(kept) if not each.isascii()}
        texts = [given[place] if form is None else form.written(given[place]) for place in order]
        cells[name] = [spelled.get(each, each) for each in texts] if spelled else texts
    if sample.id_column:
        written = sample_ids if sample.written_ids is None else sample.written_ids.tolist()
        cells = {sample.id_column: written, **cells}
    header = sample.header or [(name, name) for name in cells]
    if sample.file_form is None:
        names = [as_written for _, as_written in header]
        rows = list(zip(*(cells[name] for name, _ in header), strict=True))
    else:
        frame = sample.file_form.rows(sample_ids, cells)
        names, rows = list(map(str, frame.columns)), list(frame.itertuples(index=False, name=None))
    return _lines(rows if sample.bare else [names, *rows], sample.layout)


def _number_forms(sample: Sample) -> Mapping[str, NumberForm]:
    """Column -> how its numbers are written; where the file has a row per class, that of its one
    column of values."""
    if sample.file_form is None or len(sample.numbers) != 1:
        return sample.numbers
    return dict.fromkeys(sample.columns, next(iter(sample.numbers.values())))


def _lines(rows: Iterable[Sequence[str]], layout: Layout) -> bytes:
    """*rows* in lines of a *layout*; DataError where it has no quotes, and a cell needs them."""
    text = io.StringIO()
    quoting: Final = csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE
    quote = '"' if layout.quoted else None
    writer = csv.writer(
        text, delimiter=layout.separator, quoting=quoting, quotechar=quote, lineterminator="\n"
    )
    try:
        writer.writerows(rows)
    except csv.Error as error:
        raise DataError(
            "a cell of the submission holds a line break or what separates fields, and the sample "
            "submission shows no quotes around such cells. Give it as a csv with commas"
        ) from error
    return text.getvalue().encode("utf-8")


@dataclass(frozen=True)
class Written:
    """Where a submission lies."""

    path: Path
    sha256: str
    reused: bool
    """Whether an older file with the same bytes stands for it."""
    refreshed: bool = False
    """Whether that one's provenance now holds expected scores that were not known then."""


def suffix_of(sample: str) -> str:
    """How the name of a submission ends: as that of the *sample* does, where its lines are rows.

    >>> suffix_of("data/sample.tsv"), suffix_of("sample.csv.gz"), suffix_of("sample.json")
    ('.tsv', '.csv', '.csv')
    """
    known = [each for each in map(str.lower, Path(sample).suffixes) if each in SUFFIXES]
    return known[-1] if known else SUFFIXES[0]


CONVERTED = {
    ".jsonl": "to_json('FILE.jsonl', orient='records', lines=True, force_ascii=False)",
    ".json": "to_json('FILE.json', orient='records', force_ascii=False)",
    ".xlsx": "to_excel('FILE.xlsx', index=False)",
    ".parquet": "to_parquet('FILE.parquet', index=False)",
}
"""How the name of a sample ends that has no lines of fields -> what turns a table into such."""


def conversion(sample: str, id_column: str) -> list[str]:
    """A note where the file *sample* is no csv: what is written, and the command that converts."""
    if (how := CONVERTED.get(Path(sample).suffix.lower())) is None:
        return []
    code = f"import pandas as pd; pd.read_csv('FILE.csv', dtype={{{id_column!r}: str}}).{how}"
    return [
        f"{sample} is no csv, but submissions are, with its columns: where the organiser takes "
        f"that form alone, convert FILE.csv: python -c {shlex.quote(code)}"
    ]


def beside(record: Path) -> Path:
    """The submission, there or not, whose provenance is *record*, or would be."""
    there = [record.with_suffix(each) for each in SUFFIXES]
    found = next((path for path in there if path.is_file()), None)
    if found or not record.is_file():
        return found or there[0]
    with contextlib.suppress(ArtifactError):
        return record.with_suffix(suffix_of(str(read_json(record).get("file", ""))))
    return there[0]


def write(
    folder: Path,
    competition: str,
    method: str,
    content: bytes,
    provenance: Mapping[str, Any],
) -> Written:
    """Write *content* under the next free number, then *provenance* beside it; the name ends as
    that of the sample does which is named there.

    Bytes that an earlier file of the competition already holds are not written again, but what is
    expected of them now is, where it was not known then. Raises DataError where they were sent
    before.
    """
    with lease(folder / f".{safe_name(competition)}.lease", f"a submission of {competition}"):
        earlier = existing(folder, competition)
        number = max(earlier, default=0) + 1
        data = provenance.get("config", {}).get("data", {})
        suffix = suffix_of(data.get("sample_submission", ""))
        path = folder / f"{safe_name(competition)}-{number:03d}-{method}{suffix}"
        for old in earlier.values():
            if old.stat().st_size == len(content) and old.read_bytes() == content:
                if old.with_suffix(".json").exists():
                    refreshed = _refresh(old.with_suffix(".json"), provenance)
                    refuse_sent(folder, competition, content)
                    return Written(old, sha256(old), reused=True, refreshed=refreshed)
                path = old  # its writer was stopped between the two files
        if not path.exists():
            refuse_sent(folder, competition, content)
        digest = commit_bytes(path, content)
        commit_json(path.with_suffix(".json"), {"file": path.name, "sha256": digest, **provenance})
    return Written(path, digest, reused=False)


def _refresh(path: Path, provenance: Mapping[str, Any]) -> bool:
    """Enter the expected scores of more parts (public, private) into the provenance at *path*.

    Only beside the same honest score: another method may give the same bytes, and expect another.
    Where the file was made in the same way, and an earlier version said another score of it, the
    scores, and the words that hold them, become today's.
    """
    record = read_json(path)
    old, new = record.get("scores") or {}, provenance.get("scores") or {}
    before, now = old.get("expected") or {}, new.get("expected") or {}
    if not _as_good_as(old.get("honest"), new.get("honest")):
        if not _same_way(record, provenance):
            return False
        known = [name for name in ("scores", "decisions", "message") if name in provenance]
        record.update({name: provenance[name] for name in known})
        commit_json(path, record)
        return True
    if not before.keys() < now.keys():
        return False
    told = {name: new[name] for name in EXPECTED if name in new}
    commit_json(path, record | {"scores": old | told})
    return True


def _as_good_as(one: object, other: object) -> bool:
    """Whether two scores are one, up to the order in which a computer adds."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return one == other


def _same_way(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two provenances speak of one method, asked for alike, and the very same members."""
    if any(one.get(field) != other.get(field) for field in ("requested", "method", "passport")):
        return False
    members = [
        [(member.get("name"), member.get("parts")) for member in each.get("members", [])]
        for each in (one, other)
    ]
    return members[0] == members[1] and bool(members[0])


def existing(folder: Path, competition: str) -> dict[int, Path]:
    """Number -> file of the submissions of *competition* that are there."""
    name = re.compile(re.escape(safe_name(competition)) + rf"-(\d{{3,}})-{METHOD}")
    found = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in SUFFIXES and (fits := name.fullmatch(path.stem)):
            found[int(fits.group(1))] = path
    return found


def answers_under_ids(path: Path, competition: Competition) -> list[Path]:
    """Write the answers of *path*, one of our submissions, into the folder that bears its name as
    one JSON object with an answer under each id, where the sample is one; or where there is no
    sample and the test file is SQuAD's JSON, whose evaluation takes that. [] elsewhere."""
    data = competition.data
    asked = data.sample_submission or data.test
    if not (competition.task.problem_type.spans and asked.endswith(".json")):
        return []
    _, *rows = read_rows(path)
    beside = path.with_suffix("") / "predictions.json"
    commit_text(beside, json.dumps(dict(rows), ensure_ascii=False, indent=1) + "\n")
    return [beside]


def read_rows(path: Path) -> list[list[str]]:
    """The cells of a file that `build` made, header first."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


FLOOR = 1e-6
"""How far from 0 and 1 probabilities are kept."""


def try_submission(competition: Competition, tables: Tables, metric: Metric) -> Form:
    """Build the file once from predictions that are all alike, and write none; its form. A metric
    of the user's own is called once, on every labelled file.

    Raises DataError where the sample's columns, ids, classes or codes do not fit the competition,
    UsageError where the config asks for what the sample cannot hold, or the metric does not work.
    """
    task, targets = competition.task, tables.train.targets
    problem = task.problem_type
    form = problem.form(task, competition.columns.targets, metric.needs, tables.sample)
    assert targets is not None, "train is labelled"
    limits = task.label_range or (float(np.min(targets)), float(np.max(targets)))
    ids = tables.test.ids.tolist()
    same = problem.alike(len(ids), len(competition.outputs), limits)
    predicted = problem.within_range(same, FLOOR)
    check(ids, tables.sample.ids.tolist(), predicted)
    build(tables.sample, ids, problem.texts(form, task, predicted, limits))
    if ":" in metric.name:
        for table in (tables.train, tables.holdout):
            if table is not None and table.targets is not None:
                _try_metric(metric, table, len(competition.outputs))
    return form


def _try_metric(metric: Metric, table: Table, columns: int) -> None:
    """Call it once; that nearly right predictions have no score is no error. UsageError where it
    raises one: most often it takes classes, and gets numbers."""
    assert table.targets is not None
    kind, truth = problem_of(metric.problem), table.references
    if truth is not None:
        right = np.array([*(each[0] for each in truth), None], dtype=object)[:-1]
    else:
        truth = table.targets
        right = 0.8 * kind.expand(np.asarray(truth), columns) + 0.1
    try:
        metric.score(truth, right)
    except MetricError as error:
        if "it raised " not in str(error):
            return
        if kind.learnt_as != "rows":
            raise UsageError(
                f"{error}. It gets two lists, of right answers and of predictions, an entry for "
                "each document (docs/metrics.md)"
            ) from error
        raise UsageError(
            f"{error}. It gets predictions as they are: numbers, or probabilities. Where it takes "
            "classes, put a function around it that decides, and name that one: "
            "def metric(y_true, y_pred): return f(y_true, y_pred >= 0.5) (docs/metrics.md)"
        ) from error


# What a file was computed by, and from.


def versions() -> dict[str, str]:
    """What computed it, name -> version."""
    packages = ("numpy", "scipy", "scikit-learn", "pandas")
    return {
        "foldstack": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def digests(competition: Competition, root: Path) -> dict[str, str | None]:
    """The competition's files, path as in the config -> SHA-256; None where it is not there."""
    paths = {name: root / name for name in _files(competition)}
    return {name: _digest(path) for name, path in paths.items()}


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, or of the names and bytes of a table's parts or a folder's files."""
    path, _ = sheet_of(path)
    if path.is_file():
        return sha256(path)
    found = sorted(path.rglob("*")) if path.is_dir() else parts_of(path)
    files = [each for each in found if each.is_file()]
    if not files:
        return None
    content = "".join(f"{each.name} {sha256(each)}\n" for each in files)
    return hashlib.sha256(content.encode()).hexdigest()


def _files(competition: Competition) -> Iterator[str]:
    """What is read to make a file: the tables, and the metric where it is a person's own."""
    data = competition.data
    beside = [join.file for join in data.joins]
    files = [data.train, data.test, data.sample_submission, *data.holdout, *beside]
    yield from dict.fromkeys(files)
    if ":" in competition.task.metric:
        yield f"{competition.task.metric.partition(':')[0].replace('.', '/')}.py"
