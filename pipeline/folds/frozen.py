"""Frozen folds: decided once, written to folds/NAME.csv with a passport, checked at every use.

Whoever needs to know which rows a learner may see asks a `Folds`. A changed text, target, row, fold
or setting is refused with the first ids concerned; another order of the rows is not a change.

Folds that are not frozen yet are assigned by the config, or taken from a file of your own; both
ways are checked alike before anything is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.base import ArtifactError, Competition, DataError, Paths, raise_if, read_json
from pipeline.base.config import FoldsConfig
from pipeline.base.files import commit_json, commit_text
from pipeline.base.seeding import derive_seed
from pipeline.data import Table, places_of
from pipeline.data.units import documents
from pipeline.folds.checks import (
    Spread,
    Way,
    advice,
    divisions,
    fold_problems,
    group_problems,
    rare_notes,
    row_problems,
    spread,
    spreads,
    target_problems,
    ways_out,
)
from pipeline.folds.groups import connect, describe, first_appearance, looser
from pipeline.folds.passport import (
    FoldFile,
    as_text,
    check_whole,
    draw_up,
    hash_rows,
    label_hashes,
    read_fold_file,
    recipe_problems,
    row_changes,
)
from pipeline.folds.recipe import groups_of
from pipeline.folds.splitter import assign, strata
from pipeline.problems.problem import Division


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Which row is held out when; rows in the order of the table that was asked about."""

    ids: np.ndarray
    """(n,) str objects."""
    fold_of_row: np.ndarray
    """(R, n) int: for every repeat the fold, 0 … K - 1, in which a row is held out."""
    group_of_row: np.ndarray
    """(n,) int: rows of one group are never separated."""
    count: int
    """K."""
    digest: str
    """Of rows, targets, folds and groups: what every run on these folds carries."""
    notes: tuple[str, ...] = ()
    """What was noticed when the folds were frozen."""
    extra_group: np.ndarray | None = None
    """(x,) the group of each extra row, in the numbers of *linked_group*."""
    linked_group: np.ndarray | None = None
    """(n,) groups of train and extra rows together; only to find out what extra rows touch."""
    label_hash: np.ndarray | None = None
    """(n, 3) uint8: first bytes of the hash of each row's id and targets, as in the passport."""

    def of_units(self, table: Table) -> "Folds":
        """These folds of documents as folds of their units, the rows of *table*."""
        if table.units is None:
            return self
        row = table.units.number
        return replace(
            self,
            ids=table.ids,
            fold_of_row=self.fold_of_row[:, row],
            group_of_row=self.group_of_row[row],
            linked_group=None if self.linked_group is None else self.linked_group[row],
            label_hash=None if self.label_hash is None else self.label_hash[row],
        )

    def training_rows(self, repeat: int, fold: int) -> np.ndarray:
        """(n,) bool: rows that the learner of this fold is fitted on."""
        return np.asarray(self.fold_of_row[repeat] != fold)

    def valid_rows(self, repeat: int, fold: int) -> np.ndarray:
        """(n,) bool: rows that this fold holds out."""
        return np.asarray(self.fold_of_row[repeat] == fold)

    def extra_rows(self, repeat: int, fold: int) -> np.ndarray | None:
        """(x,) bool: extra rows that share no group with a held-out row; None without any."""
        if self.extra_group is None or self.linked_group is None:
            return None
        held_out = self.linked_group[self.valid_rows(repeat, fold)]
        return ~np.isin(self.extra_group, held_out)


def frozen(
    competition: Competition, paths: Paths, train: Table, extra: Table | None = None
) -> Folds:
    """The folds of *train*, frozen now if they were not yet; see `read_frozen`.

    With *extra* (rows that are trained on but never scored) also which of them a fold may use.
    They have no part in how the folds were made.
    """
    if not paths.passport.exists():
        freeze(competition, paths, train)
    rows = documents(train, competition.task)
    folds = _read(competition, paths, rows)
    if extra is not None:
        folds = _linked(folds, competition, rows, documents(extra, competition.task))
        if extra.units is not None and folds.extra_group is not None:
            folds = replace(folds, extra_group=folds.extra_group[extra.units.number])
    return folds.of_units(train)


def freeze(competition: Competition, paths: Paths, train: Table) -> None:
    """Make the folds and write them, the passport last.

    A fold file without a passport is left from a freeze that was interrupted if it is exactly the
    one that would be written; any other is somebody's own and refused.
    """
    train = documents(train, competition.task)
    new = new_folds(competition, train, paths.root)
    rows = FoldFile(ids=train.ids, fold_of_row=new.fold_of_row, group_of_row=new.group_of_row)
    content = as_text(rows)
    if paths.folds_csv.exists() and paths.folds_csv.read_bytes() != content.encode():
        raise ArtifactError(
            f"{paths.folds_csv} has no passport ({paths.passport.name}) and is not what the config "
            "gives. Restore the passport (git checkout); or, to use the file as your own folds, "
            "move it elsewhere and set folds.file to it; or delete it to have folds made."
        )
    groups = describe(new.group_of_row)
    facts = {
        "rows": len(train),
        "folds": competition.folds.count,
        "repeats": competition.folds.repeats,
        "groups": groups.count,
        "largest_group": groups.largest,
    }
    hashes = hash_rows(train, new.fold_of_row, new.group_of_row)
    passport = draw_up(competition, train, hashes, facts, new.notes)
    commit_text(paths.folds_csv, content)
    commit_json(paths.passport, passport)


def read_frozen(competition: Competition, paths: Paths, train: Table) -> Folds:
    """The frozen folds, their rows in the order of *train*.

    Raises ArtifactError where they are not frozen yet, damaged, edited, or made from other rows,
    texts, targets or settings: naming the settings and the first ids.
    """
    return _read(competition, paths, documents(train, competition.task)).of_units(train)


def _read(competition: Competition, paths: Paths, train: Table) -> Folds:
    """As `read_frozen`; of units, *train* has their documents."""
    if not paths.passport.exists() and not paths.folds_csv.exists():
        raise ArtifactError(
            f"there are no frozen folds for {competition.name} ({paths.folds_csv}). Freeze them "
            "with python -m pipeline.folds, or train a model: python -m pipeline.cv --model NAME"
        )
    passport = read_json(paths.passport)
    check_whole(passport, str(paths.passport))
    problems = recipe_problems(passport, competition)
    repeats = passport["facts"]["repeats"]
    file = read_fold_file(paths.folds_csv, repeats, ArtifactError)
    if file.group_of_row is None:
        raise ArtifactError(f"{paths.folds_csv} has lost its column 'group'. Restore the file.")
    if rows := row_problems(file.ids, train.ids, str(paths.folds_csv), train.source):
        raise _refused(paths, problems + rows)
    in_file_order = train.in_order(file.ids)
    hashes = hash_rows(in_file_order, file.fold_of_row, file.group_of_row)
    problems += row_changes(passport, in_file_order, hashes)
    problems += _own_file_problems(competition, paths, file)
    if problems:
        raise _refused(paths, problems)
    place = places_of(train.ids, file.ids)
    return Folds(
        ids=train.ids,
        fold_of_row=file.fold_of_row[:, place],
        group_of_row=first_appearance(file.group_of_row[place]),
        count=passport["facts"]["folds"],
        digest=passport["digests"]["overall"],
        notes=tuple(passport["notes"]),
        label_hash=label_hashes(passport)[place],
    )


def _own_file_problems(competition: Competition, paths: Paths, file: FoldFile) -> list[str]:
    """A fold file of one's own may vanish after it was frozen, but not say something else."""
    path = paths.root / str(competition.folds.file)
    if not competition.folds.file or not path.exists():
        return []
    own = read_fold_file(path, 1, ArtifactError)
    if problems := row_problems(own.ids, file.ids, str(path), paths.folds_csv.name):
        return problems
    changed = own.fold_of_row[0, places_of(file.ids, own.ids)] != file.fold_of_row[0]
    return [f"{path} has other folds than when it was frozen"] if changed.any() else []


def _refused(paths: Paths, problems: list[str]) -> ArtifactError:
    bullets = "\n".join(f"  - {problem}" for problem in problems)
    return ArtifactError(
        f"{paths.folds_csv} does not fit:\n{bullets}\n"
        "Put back what has changed. Or delete "
        f"{paths.folds_csv.name} and {paths.passport.name} to freeze new folds; then every model "
        "has to be trained again, since predictions from other folds cannot be mixed."
    )


def _linked(folds: Folds, competition: Competition, train: Table, extra: Table) -> Folds:
    """*folds* with the groups of train and extra rows together."""
    settings, empty = competition.folds, np.full(len(extra), "", dtype=object)
    columns = [
        np.concatenate([train.features[name], extra.features.get(name, empty)])
        for name in settings.group_columns
    ]
    texts = np.concatenate([train.texts, extra.texts])
    group = connect(texts, settings.groups, settings.near_threshold, columns)
    return replace(folds, linked_group=group[: len(train)], extra_group=group[len(train) :])


ROOM = 1.2
"""Of a fold's share of the rows, for its largest group."""


@dataclass(frozen=True, kw_only=True)
class NewFolds:
    """Checked folds of n rows, in their table's order."""

    fold_of_row: np.ndarray
    """(R, n) int."""
    group_of_row: np.ndarray
    """(n,) int."""
    notes: list[str]
    """What a person should know about them."""


def new_folds(competition: Competition, train: Table, root: Path) -> NewFolds:
    """Assign or read the folds of *train*; DataError, with the ways out, where that cannot be.

    Of units, *train* has their documents.
    """
    try:
        return _made(competition, train, root)
    except DataError as error:
        if said := advice(ways(competition, train, root)):
            raise DataError(f"{error}\n{said}") from error
        raise


def ways(competition: Competition, train: Table, root: Path) -> list[Way]:
    """The changed settings by which folds can be made, where they cannot be made as they are."""
    return ways_out(
        competition, train, lambda changed, rows, groups: _made(changed, rows, root, groups)
    )


def _made(
    competition: Competition, train: Table, root: Path, groups: np.ndarray | None = None
) -> NewFolds:
    """The folds of *train*, whose *groups* (n,) may be known already; DataError where that cannot
    be."""
    folds = competition.folds
    groups, divided, classes = _divisible(competition, train, groups)
    if folds.file:
        fold_of_row = _from_file(folds, train, groups, divided, root)[None, :]
    else:
        fold_of_row = _assigned(competition, train, groups, divided)
    notes = rare_notes(classes, folds.count)
    return NewFolds(
        fold_of_row=fold_of_row,
        group_of_row=groups,
        notes=notes + _size_notes(groups, folds, train),
    )


def _divisible(
    competition: Competition, train: Table, groups: np.ndarray | None = None
) -> tuple[np.ndarray, list[Division], list[Spread]]:
    """Groups (n,), classes, and how these lie over the groups; DataError where they are too few."""
    folds = competition.folds
    raise_if(_size_problems(train, folds), DataError, "no folds can be made")
    divided = divisions(train, competition)
    raise_if(target_problems(train, competition, divided), DataError, "no folds can be made")
    groups = groups_of(train, folds) if groups is None else groups
    classes = spreads(groups, divided)
    problems = group_problems(train, classes)
    if (amount := int(groups.max()) + 1) < folds.count:
        problems.append(
            f"the {len(train)} rows of {train.source} form {amount} groups of rows that stay "
            f"together, fewer than the {folds.count} folds"
        )
    raise_if(problems, DataError, "no folds can be made")
    return groups, divided, classes


def workable(competition: Competition, train: Table) -> tuple[Competition, str]:
    """*competition* with folds that can be made of *train*, and why they were changed; DataError
    where no settings do.

    Fewer folds are taken where the groups fill them evenly, else rows are kept together less.
    """
    try:
        _divisible(competition, train)
    except DataError as error:
        found = ways(competition, train, Path())
        if not found:
            raise
        fewer = [way for way in found if way.folds.count < competition.folds.count]
        way = next((way for way in fewer if _fills(way.folds, train)), found[0])
        why = " ".join(str(error).split()).removesuffix(".")
        return replace(competition, folds=way.folds), why
    return competition, ""


def _fills(folds: FoldsConfig, train: Table) -> bool:
    """Whether no group has more than about its share of the rows in as many folds."""
    return describe(groups_of(train, folds)).largest * folds.count <= ROOM * len(train)


def _size_problems(train: Table, config: FoldsConfig) -> list[str]:
    count, folds = len(train), config.count
    if count < folds:
        rows = "1 row" if count == 1 else f"{count} rows"
        return [f"{train.source} has {rows}, fewer than the {folds} folds. Get more rows."]
    return []


def _assigned(
    competition: Competition, train: Table, groups: np.ndarray, divided: Sequence[Division]
) -> np.ndarray:
    """(R, n) folds that do not depend on the order of the rows: they are sorted by id first."""
    folds = competition.folds
    stratum = strata(train, competition.task.problem_type.name, folds)
    order = np.argsort(train.ids, kind="stable")
    assignments, problems = [], []
    for repeat in range(folds.repeats):
        seed = derive_seed(folds.seed, "assignment", repeat)
        assignment = np.empty(len(train), dtype=np.int64)
        assignment[order] = assign(stratum[order], groups[order], folds.count, seed)
        assignment = spread(assignment, groups, divided)
        problems += fold_problems(assignment, groups, train.ids, folds, divided)
        assignments.append(assignment)
    raise_if(problems, DataError, "no folds can be made; another folds.seed may do")
    return np.stack(assignments)


def _from_file(
    folds: FoldsConfig,
    train: Table,
    groups: np.ndarray,
    divided: Sequence[Division],
    root: Path,
) -> np.ndarray:
    """(n,) folds of the file that `folds.file` names."""
    path = root / str(folds.file)
    given = read_fold_file(path, 1, DataError)
    expected = f"{path} has to have each id of {train.source} once"
    raise_if(row_problems(given.ids, train.ids, str(path), train.source), DataError, expected)
    fold_of_row = given.fold_of_row[0, places_of(train.ids, given.ids)]
    raise_if(
        fold_problems(fold_of_row, groups, train.ids, folds, divided),
        DataError,
        f"the folds of {path} cannot be used",
    )
    return np.asarray(fold_of_row)


def _size_notes(groups: np.ndarray, folds: FoldsConfig, train: Table) -> list[str]:
    facts = describe(groups)
    if facts.largest * folds.count <= len(groups):
        return []
    first = train.ids[np.flatnonzero(groups == facts.largest_group)[0]]
    how = folds.groups
    if how == "near":
        columns = [train.features[name] for name in folds.group_columns]
        exact = describe(connect(train.texts, "exact", columns=columns))
        how = "exact" if exact.largest * folds.count > len(groups) else how
    return [
        f"the largest group of rows that stay together has {facts.largest} rows (the one of "
        f"{first}), more than a fold should have ({len(groups) // folds.count}): the folds "
        "cannot be even. If those rows may be separated, "
        f"{looser(how, folds.group_columns)}"
    ]
