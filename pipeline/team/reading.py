"""A team-mate's file, or two, read as the user says; what cannot be predictions is refused."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import DataError, UsageError, raise_if
from pipeline.team.candidate import Candidate, Kind, joined
from pipeline.team.competition import PARTS, Contest
from pipeline.team.table import Sheet, read_sheet

ROUNDING = 1e-6  # so far beyond 0 or 1 a float32 probability may lie


@dataclass(frozen=True, kw_only=True)
class Asked:
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


def read_candidate(asked: Asked, contest: Contest) -> Candidate:
    """Read the file, or both; DataError listing what keeps them from being read as predictions."""
    task = contest.competition.task
    if task.problem == "regression" and asked.kind in ("logits", "probabilities"):
        raise UsageError(
            f"--{asked.kind} is for classes, but {contest.competition.name} is a regression: its "
            "predictions are numbers in the label's unit. Leave the flag out"
        )
    kind: Kind = asked.kind or ("values" if task.problem == "regression" else "probabilities")
    sheets = _sheets(asked, contest)
    raise_if([text for sheet in sheets for text in _beyond(sheet, kind)], DataError)
    sidecar, notes = _sidecar(asked.file, sheets[0].sha256)
    told = [*([asked.passport] if asked.passport else []), *sheets[0].passports]
    if not told and sidecar.get("passport"):
        told = [str(sidecar["passport"])]
    return joined(contest, sheets, kind, list(dict.fromkeys(told)), sidecar, notes)


def _sheets(asked: Asked, contest: Contest) -> list[Sheet]:
    first, second = (PARTS, ()) if asked.test is None else (("train", "holdout"), ("test",))
    sheets: list[Sheet] = []
    problems = []
    for path, expected in ((asked.file, first), (asked.test, second)):
        if path is None:
            continue
        try:
            own = path == asked.file  # the one that --id and --fold were said of
            fold = asked.fold if own else None
            sheet = read_sheet(
                path, contest, expected, asked.id, fold, asked.encoding, id_may_lack=not own
            )
            if sheet.name in {other.name for other in sheets}:
                sheet = replace(sheet, name=f"{path.absolute().parent.name}/{sheet.name}")
            sheets.append(sheet)
        except DataError as error:
            problems.append(str(error))
    raise_if(problems, DataError)
    return sheets


def _beyond(sheet: Sheet, kind: Kind) -> list[str]:
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
