"""What `pipeline.folds` shows: the groups, and how even the folds are."""

from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table as Grid
from rich.text import Text

from pipeline.base import Competition
from pipeline.data import Table
from pipeline.folds import Folds
from pipeline.folds.groups import describe
from pipeline.folds.splitter import balance, deviation_by_fold, strata
from pipeline.report.page import plural

WIDEST = 8
"""More targets or classes than this are summed up by the largest deviation alone."""


def facts(folds: Folds, competition: Competition, train: Table) -> dict[str, Any]:
    """JSON-ready facts about frozen folds, with one entry per repeat and fold."""
    stratum = strata(train, competition.task.problem_type.name, competition.folds)
    groups = describe(folds.group_of_row)
    return {
        "competition": competition.name,
        "digest": folds.digest,
        "rows": len(train),
        "folds": folds.count,
        "repeats": len(folds.fold_of_row),
        "groups": {
            "count": groups.count,
            "largest": groups.largest,
            "share_of_rows": groups.shared,
        },
        "strata": int(stratum.max()) + 1,
        "balance": [_balance(folds, repeat, stratum) for repeat in range(len(folds.fold_of_row))],
        "table": [
            _line(folds, repeat, fold, competition, train, stratum)
            for repeat in range(len(folds.fold_of_row))
            for fold in range(folds.count)
        ],
        "notes": list(folds.notes),
    }


def _balance(folds: Folds, repeat: int, stratum: np.ndarray) -> dict[str, Any]:
    found = balance(folds.fold_of_row[repeat], stratum)
    return {"share_deviation": found.share_deviation, "size_difference": found.size_difference}


def _line(
    folds: Folds,
    repeat: int,
    fold: int,
    competition: Competition,
    train: Table,
    stratum: np.ndarray,
) -> dict[str, Any]:
    rows = folds.valid_rows(repeat, fold)
    extra = folds.extra_rows(repeat, fold)
    return {
        "repeat": repeat,
        "fold": fold,
        "rows": int(rows.sum()),
        "targets": target_means(train, rows, competition),
        "largest_deviation": float(deviation_by_fold(folds.fold_of_row[repeat], stratum)[fold]),
        **({} if extra is None else {"extra_rows_in_training": int(extra.sum())}),
    }


def target_means(train: Table, rows: np.ndarray, competition: Competition) -> dict[str, float]:
    """Of the chosen rows: mean of each number, or share of each class or label."""
    assert train.targets is not None
    names, task = competition.columns.targets, competition.task
    return task.problem_type.shares(train.targets[rows], names, task.classes)


def lines(found: dict[str, Any], competition: Competition, source: str) -> list[str]:
    """The sentences above the table."""
    settings, groups = competition.folds, found["groups"]
    told = {
        "near": f"exactly or nearly the same sentence (similarity {settings.near_threshold:g})",
        "exact": "exactly the same sentence",
        "none": "",
    }[settings.groups]
    reasons = [told] if told else []
    reasons += [f"the same {name}" for name in settings.group_columns]
    by = " × ".join(["target", *settings.stratify_by])
    own = f"taken from {settings.file}" if settings.file else f"seed {settings.seed}"
    repeats = f" × {found['repeats']} repeats" if found["repeats"] > 1 else ""
    return [
        f"{found['competition']}: {found['rows']} rows of {source}",
        f"  groups   {groups['count']}, the largest of {plural(groups['largest'], 'row')}; "
        f"{groups['share_of_rows']:.1%} of the rows share a group",
        f"           (rows stay together that share {' or '.join(reasons) or 'nothing: never'})",
        f"  folds    {found['folds']}{repeats}, even in {found['strata']} strata of {by}, {own}",
        *(f"  note     {note}" for note in found["notes"]),
    ]


def grid(found: dict[str, Any], competition: Competition, train: Table) -> Grid:
    """Rows, target means or class shares, and the largest deviation of every fold."""
    numbers = competition.task.problem_type.numeric
    whole = target_means(train, np.full(len(train), True), competition)
    shown = list(whole) if len(whole) <= WIDEST else []
    table = Grid(
        title="held-out rows",
        title_justify="left",
        pad_edge=False,
        collapse_padding=True,
        box=SIMPLE_HEAD,
    )
    extra = "extra_rows_in_training" in found["table"][0]
    heads = ["rows", "off by", *((f"mean {name}" if numbers else name) for name in shown)]
    heads += ["extra rows in training"] if extra else []
    table.add_column("fold", no_wrap=True)
    for head in heads:
        table.add_column(Text(head, overflow="fold"), justify="right", min_width=6)

    def cells(means: dict[str, float]) -> list[str]:
        return [f"{means[name]:.4f}" if numbers else f"{means[name]:.1%}" for name in shown]

    for line in found["table"]:
        name = str(line["fold"]) if found["repeats"] == 1 else f"{line['repeat']}: {line['fold']}"
        more = [str(line["extra_rows_in_training"])] if extra else []
        deviation = f"{line['largest_deviation']:.3%}"
        table.add_row(name, str(line["rows"]), deviation, *cells(line["targets"]), *more)
    table.add_section()
    table.add_row("all", str(found["rows"]), "", *cells(whole))
    return table
