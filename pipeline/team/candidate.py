"""A team-mate's predictions, every row joined by id to today's tables.

What is missing is NaN, what stands twice is counted: the checks tell it, nothing here does. Logits
become probabilities here, where a flag says that they are logits.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.base import DataError, UsageError, raise_if
from pipeline.data.candidates import Candidates
from pipeline.data.join import shared
from pipeline.team.columns import sigmoid, softmax
from pipeline.team.competition import PARTS, CompetitionView
from pipeline.team.table import CandidateTable, read_sheet
from pipeline.team.texts import read_texts

Kind = Literal["values", "probabilities", "logits", "texts"]
LARGEST = float(np.finfo(np.float32).max)  # predictions are kept as float32


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """Predictions of all rows, in the order of today's tables."""

    sources: dict[str, str]
    """File name -> SHA-256."""
    kind: Kind
    values: dict[str, np.ndarray]
    """train (n, k), test (m, k), holdout (h, k), float64; NaN where a row is missing. Of texts how
    many candidates there are."""
    written: dict[str, np.ndarray]
    """File name -> (r, c) the cells of its rows as they stand there."""
    times: dict[str, np.ndarray]
    """Part -> (its rows,) how often each row stands in the files."""
    unknown: list[str]
    """Ids that are none of the competition's."""
    folds: np.ndarray | None
    """(R, n) names of the folds as the file tells them; None where it does not."""
    labels: np.ndarray | None
    """(n, k) the file's own labels, NaN where it has none."""
    claims: list[str]
    """Passports that the flag, a column or the sidecar name, each once."""
    sidecar: dict[str, Any] = field(default_factory=dict)
    """What a .json beside the file says, as `team export` writes it."""
    notes: list[str] = field(default_factory=list)
    said: dict[str, np.ndarray] = field(default_factory=dict)
    """Of texts: part -> (its rows,) candidates and their log-probabilities; None where missing."""

    @cached_property
    def predicted(self) -> dict[str, np.ndarray]:
        """Part -> what is scored: its values, or (its rows,) the best texts, None where missing."""
        return {part: best_of(each) for part, each in self.said.items()} or self.values

    def candidates(self, part: str) -> Candidates:
        """All texts of a *part*, none of whose rows is missing."""
        rows = self.said[part].tolist()
        return Candidates([texts for texts, _ in rows], [logs for _, logs in rows])

    @property
    def weighed(self) -> Any:
        """What is blended of the training rows: see `Peer.weighed`."""
        return [self.candidates("train")] if self.said else self.values["train"]


def best_of(said: np.ndarray) -> np.ndarray:
    """(n,) str objects or None: the first of the candidates of each row."""
    found = np.full(len(said), None, dtype=object)
    found[:] = [None if each is None else each[0][0] for each in said.tolist()]
    return found


def joined(
    contest: CompetitionView,
    sheets: Sequence[CandidateTable],
    kind: Kind,
    claims: list[str],
    sidecar: dict[str, Any],
    notes: list[str],
) -> Candidate:
    """The rows of all *sheets* in the order of today's tables, in our columns; see `Candidate`."""
    k = len(contest.competition.outputs)
    values = {part: np.full((len(ids), k), np.nan) for part, ids in contest.ids.items()}
    times = {part: np.zeros(len(ids), dtype=int) for part, ids in contest.ids.items()}
    folds: np.ndarray | None = None
    labels: np.ndarray | None = None
    unknown: list[str] = []
    said = {part: np.full(len(ids), None, dtype=object) for part, ids in contest.ids.items()}
    for sheet in sheets:
        probable = as_outputs(sheet, kind, contest)
        strangers = np.ones(len(sheet.ids), dtype=bool)
        for part, ids in contest.ids.items():
            at, rows = _places(sheet, part, ids)
            strangers[rows] = False
            values[part][at] = probable[rows]
            if sheet.said is not None:
                said[part][at] = sheet.said[rows]
            np.add.at(times[part], at, 1)
            if part == "train" and len(rows):
                folds = _filled(sheet.folds, rows, at, len(ids), folds)
                labels = _labelled(sheet.labels, rows, at, len(ids), labels)
        unknown += [str(row_id) for row_id in sheet.ids[strangers]]
    return Candidate(
        sources={sheet.name: sheet.sha256 for sheet in sheets},
        kind=kind,
        values=values,
        written={sheet.name: sheet.values for sheet in sheets},
        times=times,
        unknown=unknown,
        folds=folds,
        labels=labels,
        claims=claims,
        sidecar=sidecar,
        notes=[*notes, *(note for sheet in sheets for note in sheet.notes)],
        said=said if kind == "texts" else {},
    )


def _places(sheet: CandidateTable, part: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions in *ids*, and the rows of *sheet* that belong there."""
    of_part = np.flatnonzero(sheet.part == part)
    rows, places = shared(sheet.ids[of_part], ids)
    return places, of_part[rows]


def _filled(
    names: np.ndarray | None, rows: np.ndarray, at: np.ndarray, n: int, before: np.ndarray | None
) -> np.ndarray | None:
    if names is None:
        return before
    filled = np.full((len(names), n), "", dtype=object) if before is None else before
    filled[:, at] = names[:, rows]
    return filled


def _labelled(
    found: np.ndarray | None, rows: np.ndarray, at: np.ndarray, n: int, before: np.ndarray | None
) -> np.ndarray | None:
    if found is None:
        return before
    filled = np.full((n, found.shape[1]), np.nan) if before is None else before
    filled[at] = found[rows]
    return filled


def bounds_of(contest: CompetitionView) -> tuple[float, float]:
    """What a sigmoid's 0 and 1 stand for in a regression; UsageError where nobody said."""
    if contest.competition.task.label_range is None:
        raise UsageError(
            "--logits of a regression brings raw outputs between the lowest and the highest label "
            "by a sigmoid, and task.label_range does not tell these: set it, such as [0, 5]"
        )
    return contest.competition.task.label_range


def as_outputs(sheet: CandidateTable, kind: Kind, contest: CompetitionView) -> np.ndarray:
    """(r, k) predictions in our columns: probabilities where the file holds logits."""
    if kind == "texts":
        return sheet.values
    places = list(sheet.columns.outputs.values())
    k = len(contest.competition.outputs)
    values = np.where(np.abs(sheet.values) <= LARGEST, sheet.values, np.nan)
    width = max(k, len(places))  # a binary problem with a column per class has one more
    ordered = np.full((len(sheet.values), width), np.nan)
    ordered[:, places] = values
    if kind == "logits" and contest.kind.numeric:
        low, high = bounds_of(contest)
        with np.errstate(invalid="ignore", over="ignore"):
            ordered = low + (high - low) * sigmoid(ordered)
    elif kind == "logits":
        blocks = [slice(0, width)] if width > k else contest.kind.blocks(k)
        with np.errstate(invalid="ignore", over="ignore"):  # rows with NaN stay NaN
            parts = [softmax(ordered[:, own]) for own in blocks]
            ordered = np.hstack(parts) if parts else sigmoid(ordered)
    elif kind == "probabilities":
        ordered = np.clip(ordered, 0.0, 1.0)  # beyond by rounding only, see the top of this file
    return ordered[:, 1:] if width > k else ordered


# A team-mate's file, or two, read as the user says; what cannot be predictions is refused.


ROUNDING = 1e-6  # so far beyond 0 or 1 a float32 probability may lie


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What the user says about a file."""

    file: Path
    test: Path | None = None
    """The rows of test, where they are in a file of their own."""
    kind: Kind | None = None
    """None: numbers of a regression, probabilities otherwise."""
    id: str | None = None
    fold: str | None = None
    passport: str | None = None
    encoding: str = "utf-8"
    """Of both files; it need not be that of the competition's files."""


def read_candidate(asked: FileOptions, contest: CompetitionView) -> Candidate:
    """Read the file, or both; DataError listing what keeps them from being read as predictions."""
    if contest.kind.predictions == "texts":
        if asked.kind is not None:
            raise UsageError(f"--{asked.kind} is for numbers, and these are texts: leave it out")
        return _read(asked, contest, "texts")
    numeric = contest.kind.numeric
    if numeric and asked.kind == "probabilities":
        raise UsageError(
            f"--probabilities is for classes, but {contest.competition.name} is a regression: its "
            "predictions are numbers in the label's unit. Leave the flag out"
        )
    if numeric and asked.kind == "logits":
        bounds_of(contest)
    return _read(asked, contest, asked.kind or ("values" if numeric else "probabilities"))


def _read(asked: FileOptions, contest: CompetitionView, kind: Kind) -> Candidate:
    sheets = _sheets(asked, contest, kind)
    raise_if([text for sheet in sheets for text in _beyond(sheet, kind)], DataError)
    sidecar, notes = _sidecar(asked.file, sheets[0].sha256)
    told = [*([asked.passport] if asked.passport else []), *sheets[0].passports]
    if not told and sidecar.get("passport"):
        told = [str(sidecar["passport"])]
    return joined(contest, sheets, kind, list(dict.fromkeys(told)), sidecar, notes)


def _sheets(asked: FileOptions, contest: CompetitionView, kind: Kind) -> list[CandidateTable]:
    first, second = (PARTS, ()) if asked.test is None else (("train", "holdout"), ("test",))
    sheets: list[CandidateTable] = []
    problems = []
    for path, expected in ((asked.file, first), (asked.test, second)):
        if path is None:
            continue
        try:
            own = path == asked.file  # the one that --id and --fold were said of
            fold = asked.fold if own else None
            reader = read_texts if kind == "texts" else read_sheet
            sheet = reader(
                path, contest, expected, asked.id, fold, asked.encoding, id_may_lack=not own
            )
            if sheet.name in {other.name for other in sheets}:
                sheet = replace(sheet, name=f"{path.absolute().parent.name}/{sheet.name}")
            sheets.append(sheet)
        except DataError as error:
            problems.append(str(error))
    raise_if(problems, DataError)
    return sheets


def _beyond(sheet: CandidateTable, kind: Kind) -> list[str]:
    """A problem where probabilities lie outside 0 to 1."""
    known = sheet.values[np.isfinite(sheet.values)]
    if kind != "probabilities" or not len(known):
        return []
    low, high = float(known.min()), float(known.max())
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return []
    percent = "percentages, divide them by 100; if they are " * (low >= 0 and 1 < high <= 100)
    return [
        f"{sheet.name}: predictions from {low:.4g} to {high:.4g} in "
        f"{', '.join(sheet.columns.outputs)}; probabilities lie between 0 and 1. If these are "
        f"{percent}logits (raw outputs of a model), say --logits"
    ]


def _sidecar(path: Path, digest: str) -> tuple[dict[str, Any], list[str]]:
    """The JSON object beside *path*, and notes; {} where there is none that speaks of this file."""
    beside = path.with_suffix(".json")
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError, RecursionError):
        return {}, [f"{beside.name} is no JSON that can be read; it is not used"]
    if not isinstance(found, dict):
        return {}, [f"{beside.name} holds no JSON object; it is not used"]
    if found.get("sha256", digest) != digest:
        return {}, [f"{beside.name} speaks of other bytes than {path.name}; it is not used"]
    return found, []
