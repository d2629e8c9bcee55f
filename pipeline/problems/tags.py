"""A tag for every unit of a text: names of persons and places, personal data, parts of an essay.

The competition's own unit (a character, a given token, a word) is the row: of tables, predictions,
folds' held-out parts and members. A text is a document, a group of rows that stand in order. Tags
are IOB2 or plain types (`entities`).

Targets are (n, 2): the number of the tag among task.classes, and the unit's place in its document,
so that whoever has the targets of some whole documents, in order, knows where each begins.
Predictions are (n, k), a probability per tag, as with one class of several; members are blended
unit by unit, and the blend is decoded last: the likeliest tags of a whole document that make sense.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar
from zlib import crc32

import numpy as np

from pipeline.problems.classes import OneClass, SumsToOne
from pipeline.problems.entities import OUTSIDE, decoded, inventory_of, units_of
from pipeline.problems.form import Form, Sample, form_of
from pipeline.problems.label_texts import class_numbers
from pipeline.problems.multilabel import set_strata
from pipeline.problems.problem import Clues, Division, Piece, Task

OTHER_SCHEMES = ("S-", "E-", "L-", "U-", "M-")
"""Prefixes of BIOES, BILOU and BMES."""
LEAST_CHANCE = 1e-6
"""Lowest probability, where tags are imagined."""
MANY = 4
"""Entities of a type in a document from which on there are many."""


FATES = ("right", "wrong type", "wrong border", "both wrong", "missed", "invented")
"""What may happen to an entity; the last to one that is found and not there."""
Entities = tuple[np.ndarray, np.ndarray, np.ndarray]
"""First rows, last rows and types."""


def _fates(true: Entities, found: Entities, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(e,) the place in FATES of each *true* entity, the best that a *found* one makes of it; and
    for each of those (f,) whether it shares a unit with a true one. *n* units in all."""
    held = [np.full(n, -1), np.full(n, -1)]
    for numbers, (begin, end, _) in zip(held, (true, found), strict=True):
        numbers[units_of(begin, end)] = np.repeat(np.arange(len(begin)), end - begin + 1)
    both = (held[0] >= 0) & (held[1] >= 0)
    one, other = np.unique(np.stack([held[0][both], held[1][both]]), axis=1)
    border = (true[0][one] != found[0][other]) | (true[1][one] != found[1][other])
    kind = true[2][one] != found[2][other]
    fate = np.full(len(true[0]), FATES.index("missed"))
    np.minimum.at(fate, one, kind + 2 * border)
    touched = np.zeros(len(found[0]), dtype=bool)
    touched[other] = True
    return fate, touched


class Tags(SumsToOne, OneClass):
    """A tag per unit, a column of probabilities for each tag, rows sum to one."""

    name = "tags"
    scored_as = "tags"
    described = "tags (one per character, token or word of a text)"
    target_kind = "classes"
    usual_loss = "cross-entropy"
    alone = "accuracy"
    units = True
    in_a_cell = "one per unit"
    learnt_as = "units"
    further_metrics = ", f-beta(5), entity-f1(TYPE)"
    column_word = "tags"
    first_recipe = "crf"
    documents_as = "multilabel"
    own_decisions = ("share of O", "limits of entities")
    stored: ClassVar[type] = np.float16
    written: ClassVar = {"value": "probabilities", "label": "tags"}

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """O and at least one other tag, in IOB2 or plain types."""
        if OUTSIDE not in classes or len(classes) < 2:
            return f"task.classes of tags has O and at least one other tag, not {list(classes)}"
        others = [name for name in classes if name != OUTSIDE]
        prefixed = [name[:2] in ("B-", "I-") for name in others]
        if any(name[:2] in OTHER_SCHEMES for name in others) and any(prefixed):
            return (
                f"task.classes has {', '.join(others[:6])}: tags with S-, E-, L- or U- (BIOES, "
                "BILOU) are not read; write them as IOB2 (B- where an entity begins, I- inside)"
            )
        if any(prefixed) and not all(prefixed):
            bare = [name for name, has in zip(others, prefixed, strict=True) if not has]
            return (
                f"task.classes has tags with B- or I- and tags without: {', '.join(bare[:4])}; "
                "write all of them with B- and I-, or none"
            )
        alone = [name for name in others if name[:2] == "I-" and f"B-{name[2:]}" not in classes]
        if alone:
            return (
                f"task.classes has {alone[0]} but no B-{alone[0][2:]}: name that too, as tags are "
                "read as IOB2, where every entity begins with B-"
            )
        return None

    def outputs(self, targets: Sequence[str], classes: Sequence[str]) -> list[str]:
        """The tags."""
        return list(classes)

    def expand(self, targets: np.ndarray, k: int) -> np.ndarray:
        """One-hot."""
        return np.eye(k)[targets[:, 0].astype(int)]

    def unit_targets(
        self, tags: Sequence[str], classes: Sequence[str]
    ) -> tuple[np.ndarray, set[str]]:
        """(n, 2) targets of one document's *tags*, and those that are not among *classes*."""
        known = class_numbers(classes)
        numbers = [known.get(tag, np.nan) for tag in tags]
        unknown = {tag for tag in tags if tag not in known}
        return np.column_stack([numbers, np.arange(len(tags))]).reshape(-1, 2), unknown

    def document_targets(self, targets: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """(d, t + 1) of unit targets (n, 2): entities of each type, and a number that stands for
        all tags of the document, so that a change of any of them is seen."""
        inventory = inventory_of(tuple(classes))
        tags, first = targets[:, 0].astype(int), targets[:, 1] == 0
        begin, _, kind = inventory.entities(tags, first)
        starts, document = np.flatnonzero(first), np.cumsum(first) - 1
        found = np.zeros((len(starts), len(inventory.types) + 1))
        np.add.at(found, (document[begin], kind), 1)
        parts = np.split(tags.astype(np.int16), starts[1:])
        found[:, -1] = [crc32(part.tobytes()) for part in parts]
        return found

    def decode(
        self, predicted: np.ndarray, first: np.ndarray, classes: Sequence[str]
    ) -> np.ndarray:
        """The best path of each document."""
        return decoded(predicted, first, inventory_of(tuple(classes)))

    def imagined(
        self,
        mean: np.ndarray,
        place: np.ndarray,
        classes: Sequence[str],
        random: np.random.Generator,
    ) -> Callable[[float], np.ndarray]:
        """The likeliest tags after noise on each log-probability: perturb and MAP (Papandreou &
        Yuille, "Perturb-and-MAP Random Fields", ICCV 2011), unit by unit."""
        logs = np.log(np.clip(mean, LEAST_CHANCE, 1.0))
        noise = random.gumbel(size=logs.shape)

        def tags(sureness: float) -> np.ndarray:
            chances = self.from_scores(sureness * logs + noise)
            return np.column_stack([self.decode(chances, place == 0, classes), place])

        return tags

    def mistakes(
        self, targets: np.ndarray, labels: np.ndarray, classes: Sequence[str]
    ) -> tuple[list[str], dict[str, list[int]]]:
        """Of each type: entities found, found with another type, another border, both, or not at
        all, and those that were found where no entity is."""
        inventory = inventory_of(tuple(classes))
        first = targets[:, 1] == 0
        true = inventory.entities(targets[:, 0].astype(int), first)
        found = inventory.entities(labels.astype(int), first)
        fate, touched = _fates(true, found, len(targets))
        counts = np.zeros((len(inventory.types), len(FATES)), dtype=int)
        np.add.at(counts, (true[2], fate), 1)
        np.add.at(counts, (found[2][~touched], len(FATES) - 1), 1)
        rows = dict(zip(inventory.types, counts.tolist(), strict=True))
        return list(FATES), {**rows, "all": counts.sum(axis=0).tolist()}

    def pieces(self, labels: np.ndarray, first: np.ndarray, classes: Sequence[str]) -> list[Piece]:
        """The entities, by their type."""
        inventory = inventory_of(tuple(classes))
        found = zip(*(each.tolist() for each in inventory.entities(labels, first)), strict=True)
        return [(begin, end, inventory.types[kind]) for begin, end, kind in found]

    def right_pieces(self, targets: np.ndarray, classes: Sequence[str]) -> list[Piece]:
        """Those of the tags."""
        return self.pieces(targets[:, 0].astype(int), targets[:, 1] == 0, classes)

    def document_labels(
        self, targets: np.ndarray, classes: Sequence[str]
    ) -> tuple[list[str], np.ndarray]:
        """Each has or has not a type."""
        return inventory_of(tuple(classes)).types, (targets[:, :-1] > 0).astype(float)

    # Of documents: targets as `document_targets` gives them.

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """Sets of types, each with none, some or many entities; rare sets by the rarest of them."""
        amount = targets[:, :-1]
        return set_strata(np.hstack([amount > 0, amount >= MANY]), least)

    def divisions(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> list[Division]:
        """With and without, for each type that any document has."""
        types = inventory_of(tuple(classes)).types
        present = (targets[:, :-1] > 0).astype(np.int64)
        return [
            Division(names=[f"documents without {name}", f"type {name!r}"], class_of_row=column)
            for name, column in zip(types, present.T, strict=True)
            if not column.all()
        ]

    def shares(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> dict[str, float]:
        """Entities of each type, on average over documents."""
        types = inventory_of(tuple(classes)).types
        return dict(zip(types, targets[:, :-1].mean(axis=0).tolist(), strict=True))

    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """As they are: tags are read off whole documents, last."""
        return predicted

    def labels_said(self) -> str:
        """Which tags."""
        return "the likeliest tags of a document that make sense"

    def looks_like(self, clues: Clues) -> str:
        """Always the same."""
        return "tags"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """One tag per unit; the sample says how a document's tags are written."""
        return form_of("tags", task.submit, targets, sample)

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """The tag of each unit."""
        written = task.class_codes or task.classes
        tags = [written[place] for place in predicted.argmax(axis=1).tolist()]
        return dict.fromkeys(form.columns, tags)


TAGS = Tags()
