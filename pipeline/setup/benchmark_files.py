"""A benchmark's official files as files that any competition has, and its answers the other way.

The official files (or the data set of the same name on the Hugging Face hub) become train.csv,
dev.csv, test.csv and a sample submission. GLUE's files are separated by tabs without quoting, and
lines with too few fields are left out in training, as GLUE's own readers do; KLUE's are JSON
arrays, or a character per line.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base import Competition, DataError, UsageError, raise_if
from pipeline.base.files import commit_text
from pipeline.data.reading.conll import is_conll, parse_conll
from pipeline.problems.entities import OUTSIDE
from pipeline.problems.registry import problem_of
from pipeline.setup.benchmarks import Benchmark, benchmark_of

Row = Mapping[str, Any]
INSTALL = 'pip install "foldstack[benchmarks]"'

# From official files to rows.

Split = tuple[list[Row], list[str]]
"""The rows of a split, and notes about it."""


def from_files(record: Benchmark, folder: Path, split: str) -> Split | None:
    """The rows of a *split*; None where there is no file for it; DataError where one is broken."""
    found = sorted(folder.glob(record.file.format(split=split)))
    if not found:
        return None
    path = found[-1]  # the newest version
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".json":
        rows = json.loads(text)
        if not isinstance(rows, list):
            told = "expected the official file of the split: download it again"
            raise DataError(f"{path} holds no JSON array; {told}")
        return list[Row](rows), []
    if is_conll(text):
        frame, wrong, notes = parse_conll(text)
        raise_if(wrong.sentences(), DataError, str(path))
        names = [str(name) for name in frame.columns]
        return [dict(zip(names, row, strict=True)) for row in frame.to_numpy().tolist()], notes
    return _tab_separated(path, text, record.header if split in ("train", *record.dev) else (),
                          whole=split in record.test)  # fmt: skip


def _tab_separated(path: Path, text: str, header: Sequence[str], whole: bool) -> Split:
    lines = [line.removesuffix("\r").split("\t") for line in text.split("\n")]
    if lines[-1] == [""]:
        lines.pop()
    names = list(header) or lines.pop(0)
    first = 1 if header else 2
    broken = [place + first for place, line in enumerate(lines) if len(line) != len(names)]
    shown = ", ".join(map(str, broken[:5])) + (", …" if len(broken) > 5 else "")
    if broken and whole:
        raise DataError(
            f"{path} has {len(broken)} lines without {len(names)} fields (lines {shown}), and "
            "every row has to be predicted: download the file again"
        )
    fit = [line for line in lines if len(line) == len(names)]
    rows: list[Row] = [dict(zip(names, line, strict=True)) for line in fit]
    left_out = (
        f"{path.name}: {len(broken)} lines without {len(names)} fields are left out ({shown})"
    )
    return rows, [left_out] if broken else []


def from_hub(record: Benchmark, folder: Path | None) -> Callable[[str], Split | None]:
    """Reads splits of the hub's data set, or of one that `datasets` has saved in *folder*.

    Raises UsageError where `datasets` is not installed or the data set cannot be loaded.
    """
    try:
        import datasets
    except ImportError as error:
        raise UsageError(f"--from-hub needs the package datasets: {INSTALL}") from error
    try:
        if folder is not None and (folder / "dataset_dict.json").is_file():
            found = datasets.load_from_disk(str(folder))
        else:
            found = datasets.load_dataset(*record.hub)
    except Exception as error:  # the hub's, the network's, the disk's
        where = "/".join(record.hub)
        raise UsageError(
            f"the data set {where} cannot be loaded ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no reason given'}). Give a DIR with "
            "the official files instead, or one that datasets' save_to_disk has written"
        ) from error

    def split(name: str) -> Split | None:
        name = name.replace("dev", "validation")
        return ([dict(row) for row in found[name]], []) if name in found else None

    return split


# From rows to files that any competition has.


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The files that were written, and what a person should know about them."""

    folder: Path
    notes: list[str]


def prepare(name: str, record: Benchmark, source: Path | None, hub: bool, folder: Path) -> Prepared:
    """Write train, dev, test and a sample submission of the benchmark into *folder*.

    Args:
        name: as in BENCHMARKS.
        record: what is known of it.
        source: the folder of the official files.
        hub: whether to load from the hub, or what `datasets` has saved in *source*.
        folder: where to write.
    """
    read = from_hub(record, source) if hub else _reader(record, source)
    shape = _Shape(record, hub)
    train = shape.frame(read("train"), "train")
    dev = [shape.frame(read(split), split) for split in record.dev]
    asked = [read(split) for split in record.test]
    notes = [note for each in (train, *dev) if each for note in each[1]]
    wanted = record.file.format(split="train")
    if train is None:
        there = sorted(path.name for path in source.iterdir()) if source else []
        raise DataError(
            f"{source} has no {wanted}, the training rows of {record.title}. "
            f"It has: {', '.join(there[:12]) or 'nothing'}. Give the folder with the official files"
        )
    if all(each is None for each in asked):
        notes.append("there is no public test file: the dev rows are predicted")
        rows = [each[0].drop(columns="label") for each in dev if each]
    else:
        tests = zip(asked, record.test, strict=True)
        rows = [shape.frame(each, split)[0] for each, split in tests if each]  # type: ignore[index]
    if not rows:
        told = "expected a test or a dev file beside it, as they are published"
        raise DataError(f"{source} has no rows to predict: {told}")
    test = pd.concat(rows).drop(columns="label", errors="ignore")
    files = {"train.csv": train[0], "test.csv": test, "sample_submission.csv": shape.sample(test)}
    if found := [each[0] for each in dev if each]:
        files["dev.csv"] = pd.concat(found)
    for file, frame in files.items():
        commit_text(folder / file, frame.to_csv(index=False, lineterminator="\n"))
    return Prepared(folder=folder, notes=notes)


def _reader(record: Benchmark, source: Path | None) -> Callable[[str], Split | None]:
    if source is None or not source.is_dir():
        raise UsageError(f"there is no folder {source}; expected one with {record.title}'s files")
    return lambda split: from_files(record, source, split)


class _Shape:
    """Official rows as columns of ours."""

    def __init__(self, record: Benchmark, hub: bool) -> None:
        self.record = record
        self.target = record.hub_target if hub else record.target
        self.texts = {**record.texts, **(record.hub_texts if hub else {})}
        self.numbered = hub

    def frame(self, split: Split | None, name: str) -> tuple[pd.DataFrame, list[str]] | None:
        """Columns id, the texts, what is kept, and label where the rows have one."""
        if split is None:
            return None
        rows, notes = split
        problems: list[str] = []
        columns: dict[str, list[str]] = {"id": list(self._ids(rows, name))}
        for ours, official in self.texts.items():
            columns[ours] = self._cells(rows, official, name, problems)
        for ours in self.record.kept:
            if rows and ours.partition(".")[0] in rows[0]:
                columns[ours] = self._cells(rows, ours, name, problems)
        if rows and self.target.partition(".")[0] in rows[0]:
            columns["label"] = [self._label(row) for row in rows]
        raise_if(problems, DataError, f"the {name} rows of {self.record.title}")
        return pd.DataFrame(columns, dtype=object), notes

    def _ids(self, rows: Sequence[Row], name: str) -> Iterator[str]:
        for place, row in enumerate(rows):
            yield str(row[self.record.id]) if self.record.id in row else f"{name}-{place}"

    def _cells(self, rows: Sequence[Row], path: str, name: str, problems: list[str]) -> list[str]:
        try:
            return [_at(row, path) for row in rows]
        except (KeyError, TypeError):
            told = f"not every row has the field {path!r}; the first has {', '.join(rows[0])}"
            problems.append(f"{told}: take the official file of this benchmark")
            return []

    def _label(self, row: Row) -> str:
        found = _at(row, self.target)
        classes = self.record.classes
        if self.numbered and classes and found.startswith("["):
            return json.dumps([classes[number] for number in json.loads(found)])
        if self.numbered and classes and found.isdigit() and int(found) < len(classes):
            return classes[int(found)]
        return found

    def sample(self, test: pd.DataFrame) -> pd.DataFrame:
        """A valid submission with one answer everywhere."""
        classes = self.record.classes
        probable = json.dumps([round(1 / len(classes), 4)] * len(classes)) if classes else ""
        dummy = {"probs": probable}
        usual: Any = classes[0] if classes else "2.5"
        if problem_of(self.record.problem).units:  # a tag for each unit of a row
            (text,) = self.texts
            usual = [" ".join([OUTSIDE] * len(json.loads(cell))) for cell in test[text]]
        answers = {name: dummy.get(name, usual) for name in self.record.answer.split(",")}
        return pd.DataFrame({"id": test["id"], **answers})


def _at(row: Row, path: str) -> str:
    found: Any = reduce(lambda inner, name: inner[name], path.split("."), row)
    return json.dumps(found, ensure_ascii=False) if isinstance(found, list) else str(found)


# The files that a benchmark's own evaluation takes.


def official_files(csv: Path, competition: Competition) -> list[Path]:
    """Write the files that the benchmark's own evaluation takes into the folder beside *csv*, one
    of our submissions that bears its name; [] where the evaluation takes none."""
    record = benchmark_of(competition.submissions.benchmark or "")[1]
    if not record.official:
        return []
    answers = pd.read_csv(csv, dtype=str, keep_default_na=False)
    split = answers["id"].str.rpartition("-")
    cells = answers["label"]
    if competition.task.label_range is not None:
        low, high = competition.task.label_range
        cells = cells.map(lambda cell: f"{min(max(float(cell), low), high):.3f}")
    written = []
    for name, file in record.official.items():
        own = split[0] == name
        if own.any():
            rows = zip(split[2][own], cells[own], strict=True)
            lines = [f"{number}\t{cell}\n" for number, cell in rows]
            written.append(csv.with_suffix("") / file)
            commit_text(written[-1], "".join(["index\tprediction\n", *lines]))
    return written
