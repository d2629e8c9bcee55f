"""Frozen folds: decided once, written to folds/NAME.csv with a passport, checked at every use.

Whoever needs to know which rows a learner may see asks a `Folds`. A changed text, target, row, fold
or setting is refused with the first ids concerned; another order of the rows is not a change.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.base import ArtifactError, Competition, Paths, read_json
from pipeline.base.files import commit_json, commit_text
from pipeline.data import Table, places_of
from pipeline.folds.checks import row_problems
from pipeline.folds.fold_file import FoldFile, as_text, read_fold_file
from pipeline.folds.groups import connect, describe, first_appearance
from pipeline.folds.new_folds import new_folds
from pipeline.folds.passport import (
    check_whole,
    draw_up,
    hash_rows,
    label_hashes,
    recipe_problems,
    row_changes,
)


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
    folds = read_frozen(competition, paths, train)
    return folds if extra is None else _linked(folds, competition, train, extra)


def freeze(competition: Competition, paths: Paths, train: Table) -> None:
    """Make the folds and write them, the passport last.

    A fold file without a passport is left from a freeze that was interrupted if it is exactly the
    one that would be written; any other is somebody's own and refused.
    """
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
