"""Training rows made of training rows: what `rows` in a recipe does inside a fold.

    rows: [swap, {both-equal: {share: 0.1}}]

A row that is made of another knows its parent. It is trained on in the parent's place: never with a
held-out parent (`check_parents`, in every fold), on the parent's side of every inner split, with
the parent's targets and columns. Transforms are done in the order of the list, each to the rows
that were read from a file and are left; none is done to a row that was made. What is drawn is a
function of the fold's seed, the transform's place and the row's id, of nothing else: so a fold that
was killed makes the same rows again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pipeline.base import Competition, UsageError, generator, raise_if
from pipeline.base.doors import load
from pipeline.base.files import sha256
from pipeline.base.parser import from_dict
from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.data.table import concatenate, listing
from pipeline.models.registry import ROW_TRANSFORMS

MASK = "[MASK]"
NUMBER_BINS = 10
"""Equal parts of the range of numbers in which rows are counted, to find rare ones."""


def originals(table: Table) -> np.ndarray:
    """(n,) bool: whether a row of *table* was read from a file, not made of another."""
    return np.ones(len(table), bool) if table.parents is None else table.parents == table.ids


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a transform works."""

    competition: Competition
    root: Path
    """Relative paths of files start there."""
    seed: int = 0
    """Of this transform in this fold."""
    mask: Callable[[], str] = lambda: MASK
    """What hides a word from the learner."""

    def draws(self, row_id: str, copy: int = 0) -> np.random.Generator:
        """The random numbers of one row."""
        return generator(self.seed, f"row {row_id}", copy)


@dataclass(frozen=True, kw_only=True)
class RowTransform:
    """One way to make training rows of training rows; a subclass writes `changed`.

    Its fields are what a recipe may set. A version goes up where the same settings come to make
    other rows: folds of before and after are then not mixed.
    """

    version: ClassVar[int] = 1
    pairs: ClassVar[bool] = False
    """Whether it is about the two texts of a pair."""
    texts: ClassVar[bool] = True
    """Whether it changes texts, so that places of characters in them no longer hold."""
    random: ClassVar[bool] = True
    """Whether the texts it makes are drawn."""
    at_test: ClassVar[bool] = True
    """Whether a row that it makes says the same as its parent, so that `tta` may ask about both."""
    weighs: ClassVar[bool] = False
    """Whether it says what rows count, which not every learner heeds."""

    share: float = 1.0
    """Of the rows that it may be done to, drawn; in (0, 1]."""
    copies: int = 1
    """Rows made of each."""
    labels: list[Any] | None = None
    """Only rows with these labels: for numbers the lowest and the highest, else names of classes.
    null for all."""
    rare: float | None = None
    """Only rows whose class, or tenth of the range of numbers, has less than this share of rows."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.share <= 1:
            problems.append(f"share is {self.share:g}; it must be above 0, at most 1")
        if self.copies < 1:
            problems.append(f"copies is {self.copies}; it must be at least 1")
        if self.rare is not None and not 0 < self.rare < 1:
            problems.append(f"rare is {self.rare:g}; it must be above 0 and below 1")
        raise_if([*problems, *self.own_problems()], UsageError)

    def own_problems(self) -> Iterator[str]:
        """What is wrong with the settings of a subclass."""
        yield from ()

    def problems(self, place: Place) -> Iterator[str]:
        """Why it cannot be done in a competition."""
        columns, task = place.competition.columns, place.competition.task
        if task.problem_type.units:
            yield f"rows are documents with {task.problem} here, whose places it would not keep"
        elif self.texts and columns.entities:
            yield "it changes texts, and columns.entities are places in them"
        if self.pairs and len(columns.texts) != 2:
            yield f"it is about pairs, and columns.texts names {len(columns.texts)} column"
        yield from label_problems(self.labels, place.competition)

    def files(self) -> list[str]:
        """Files that it reads."""
        return []

    def libraries(self) -> list[str]:
        """Distributions whose release decides what it makes."""
        return []

    @property
    def seeds_matter(self) -> bool:
        """Whether another seed makes other rows."""
        return self.random or self.share < 1

    def changed(self, texts: list[str], random: np.random.Generator) -> list[str] | None:
        """The texts of a row -> those of the row made of it; None where none can be made."""
        raise NotImplementedError(type(self).__name__)

    def writer(self, rows: Table, place: Place) -> "Writer":
        """What writes the texts of a row that is made of one of *rows*; for transforms that have to
        read something first."""
        return lambda row_id, texts, copy, random: self.changed(texts, random)

    def made(self, rows: Table, place: Place) -> Table:
        """The rows made of *rows*, all of which were read from a file; a row that would say the
        same as its parent is none."""
        write = self.writer(rows, place)
        parents, texts, ids = [], [], []
        for row in np.flatnonzero(chosen(self, rows, place.competition)):
            told, row_id = rows.texts[row].tolist(), rows.ids[row]
            for copy in range(self.copies):
                random = place.draws(row_id, copy)
                if random.random() >= self.share:
                    continue
                new = write(row_id, told, copy, random)
                if new is not None and new != told:
                    parents.append(row)
                    texts.append(new)
                    ids.append(f"{row_id}\0{copy}")
        found = rows.rows(np.array(parents, dtype=int))
        cells = np.array(texts, dtype=object).reshape(len(texts), rows.texts.shape[1])
        return replace(found, ids=np.array(ids, dtype=object), texts=cells, parents=found.ids)

    def apply(self, table: Table, place: Place) -> Table:
        """*table*, which knows its rows' parents, with what is made of it below."""
        return concatenate(table, self.made(table.rows(originals(table)), place))


Writer = Callable[[str, list[str], int, np.random.Generator], list[str] | None]
"""(id, texts, which copy, from 0, the row's random numbers) -> the texts of the row made of it."""


class Step(NamedTuple):
    """One entry of a list of transforms."""

    name: str
    transform: RowTransform


def steps_of(entries: Sequence[str | Mapping[str, Any]]) -> list[Step]:
    """The transforms that a recipe lists: a name, or {name: {option: value}}.

    Raises UsageError naming everything that is wrong.
    """
    steps, problems = [], []
    for entry in entries:
        named = {entry: {}} if isinstance(entry, str) else dict(entry)
        if len(named) != 1:
            problems.append(f"{entry} is no entry of the list; expected a name, or name: options")
            continue
        ((name, options),) = named.items()
        if name not in ROW_TRANSFORMS:
            close = get_close_matches(str(name), ROW_TRANSFORMS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(ROW_TRANSFORMS)}"
            problems.append(f"there is no {name!r}; {hint}")
            continue
        kind: type[RowTransform] = load(ROW_TRANSFORMS[name])
        try:
            steps.append(Step(name, _built(kind, options or {})))
        except UsageError as error:
            problems.append(f"{name}: {error}")
    raise_if(problems, UsageError)
    return steps


def _built(kind: type[RowTransform], options: Any) -> RowTransform:
    known = [each.name for each in fields(kind)]
    if not isinstance(options, Mapping):
        raise UsageError(f"{options!r} are no options; expected such as {{share: 0.5}}")
    if strange := [str(key) for key in options if key not in known]:
        raise UsageError(f"no option {', '.join(strange)}; it has: {', '.join(known)}")
    return from_dict(kind, options)


def check_steps(name: str, steps: Sequence[Step], place: Place) -> None:
    """Raise UsageError where the *steps* of the setting *name* cannot be done in a competition."""
    problems = [
        f"{name}: {step.name}: {problem}"
        for step in steps
        for problem in step.transform.problems(place)
    ]
    raise_if(problems, UsageError)


def check_tta(name: str, steps: Sequence[Step], place: Place) -> None:
    """Raise UsageError where the *steps* of the setting *name* cannot be done to rows that have no
    label."""
    check_steps(name, steps, place)
    problems = []
    for step in steps:
        transform = step.transform
        if not transform.at_test:
            problems.append(f"{name}: {step.name} is for training rows only")
        elif transform.labels is not None or transform.rare is not None:
            problems.append(f"{name}: {step.name}: labels and rare need labels, and test has none")
    raise_if(problems, UsageError)


def record_of(steps: Sequence[Step], root: Path) -> dict[str, Any]:
    """What predictions depend on beside the recipe: versions, and digests of files."""
    return {
        f"{number}-{step.name}": {
            "version": step.transform.version,
            **{name: sha256(root / name) for name in step.transform.files()},
            **{name: metadata.version(name) for name in step.transform.libraries()},
        }
        for number, step in enumerate(steps, start=1)
    }


def augmented(
    train: Table, steps: Sequence[Step], place: Place, held_out: np.ndarray
) -> tuple[Table, dict[str, int]]:
    """*train* after all *steps*, and by how many rows each has made it longer.

    *held_out*: ids of the rows that the fold will be scored on. Raises UsageError where a row was
    made of one of them.
    """
    counts: dict[str, int] = {}
    table = replace(train, parents=train.ids)
    for number, step in enumerate(steps, start=1):
        seed = derive_seed(place.seed, "rows", number)
        done = step.transform.apply(table, replace(place, seed=seed))
        check_parents(done, train.ids, held_out, step.name)
        tag = f"{number}-{step.name}"
        counts[tag] = len(done) - len(table)
        table = replace(done, ids=_told_apart(done, tag, set(table.ids.tolist())))
    return table, counts


def _told_apart(table: Table, tag: str, before: set[str]) -> np.ndarray:
    """(n,) ids of *table* with *tag* in those that were not there *before*."""
    ids = [each if each in before else f"{each}\0{tag}" for each in table.ids.tolist()]
    return np.array(ids, dtype=object)


def check_parents(table: Table, train_ids: np.ndarray, held_out: np.ndarray, name: str) -> None:
    """Raise UsageError where the transform *name* made a row of none of the fold's training rows:
    what the fold is scored on would have been trained on."""
    assert table.parents is not None
    strangers = sorted(set(table.parents.tolist()) - set(train_ids.tolist()))
    if not strangers:
        return
    leaks = [each for each in strangers if each in set(held_out.tolist())]
    what = "held out in this fold" if leaks else "not among the training rows of this fold"
    raise UsageError(
        f"rows: {name} made rows of {len(leaks or strangers)} rows that are {what}: "
        f"{listing(leaks or strangers)}. Nothing was trained. Its method may look at the rows that "
        "it is given, and `parents` must name them: mend the transform"
    )


# Which rows: by their labels.


def chosen(transform: RowTransform, rows: Table, competition: Competition) -> np.ndarray:
    """(n,) bool: the rows with the labels that *transform* is done to."""
    found = np.ones(len(rows), dtype=bool)
    if transform.labels is not None:
        found &= with_labels(rows, transform.labels, competition)
    if transform.rare is not None:
        kinds = _kinds(rows, competition)
        rare = kinds.mean(axis=0) < transform.rare
        found &= kinds[:, rare].any(axis=1)
    return found


def with_labels(rows: Table, labels: Sequence[Any], competition: Competition) -> np.ndarray:
    """(n,) bool: the rows whose first number lies within *labels*, or that have one of them."""
    assert rows.targets is not None
    if competition.task.problem_type.numeric:
        low, high = labels
        values = np.asarray(rows.targets)[:, 0]
        return np.asarray((values >= low) & (values <= high))
    names = class_names(competition)
    asked = [names.index(str(label)) for label in labels]
    return np.asarray(_flags(rows, competition)[:, asked].any(axis=1))


def class_names(competition: Competition) -> list[str]:
    """What labels that are no numbers are called."""
    return list(competition.task.classes) or competition.outputs


def label_problems(labels: Sequence[Any] | None, competition: Competition) -> Iterator[str]:
    """What is wrong with the *labels* that a transform is meant for."""
    if labels is None:
        return
    if competition.task.problem_type.numeric:
        numbers = [each for each in labels if isinstance(each, int | float)]
        if len(labels) != 2 or len(numbers) != 2 or numbers[0] > numbers[1]:
            yield f"labels is {list(labels)}; expected the lowest number and the highest"
        return
    names = class_names(competition)
    if strange := [str(each) for each in labels if str(each) not in names]:
        yield f"labels names {listing(strange)}; there are: {listing(names)}"
    elif not labels:
        yield "labels is empty; name some, or leave it out for all"


def _flags(rows: Table, competition: Competition) -> np.ndarray:
    """(n, c) bool: whether a row has each of `class_names`."""
    kind = competition.task.problem_type
    wide = kind.by_class(kind.expand(np.asarray(rows.targets), len(competition.outputs)))
    return np.asarray(wide >= 0.5)


def _kinds(rows: Table, competition: Competition) -> np.ndarray:
    """(n, c) bool: the classes of each row, or the part of the numbers' range that it is in."""
    if not competition.task.problem_type.numeric:
        return _flags(rows, competition)
    values = np.asarray(rows.targets)[:, 0]
    low, high = competition.task.label_range or (values.min(), values.max())
    part = np.clip((values - low) / max(high - low, 1e-12) * NUMBER_BINS, 0, NUMBER_BINS - 1)
    return np.asarray(np.eye(NUMBER_BINS, dtype=bool)[part.astype(int)])
