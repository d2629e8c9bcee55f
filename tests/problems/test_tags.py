"""Tags: the inventory, decoding of whole documents, metrics beside seqeval's."""

import itertools

import numpy as np
import pytest

from pipeline.base import UsageError
from pipeline.base.config import TaskConfig
from pipeline.problems.entities import Inventory, decoded
from pipeline.problems.registry import problem_of

CLASSES = ["O", "B-LC", "I-LC", "B-PS", "I-PS"]


def task(classes=CLASSES, metric="entity-f1") -> TaskConfig:
    return TaskConfig(problem="tags", metric=metric, classes=list(classes))


def documents(seed=0, count=40, longest=12, classes=CLASSES):
    """Targets (n, 2) with valid tags, and probabilities (n, c) that lean to them."""
    random = np.random.default_rng(seed)
    tags, place = [], []
    for _ in range(count):
        length, before = int(random.integers(1, longest)), "O"
        for at in range(length):
            allowed = [name for name in classes if name[:2] != "I-" or name[2:] == before[2:] != ""]
            before = str(random.choice(allowed))
            tags.append(classes.index(before))
            place.append(at)
    truth = np.column_stack([tags, place]).astype(float)
    scores = random.random((len(tags), len(classes))) + 0.6 * np.eye(len(classes))[tags]
    return truth, scores / scores.sum(axis=1, keepdims=True)


def as_lists(truth, numbers, classes=CLASSES):
    """The tags of each document as seqeval takes them."""
    parts = np.split(np.asarray(numbers, int), np.flatnonzero(truth[:, 1] == 0)[1:])
    return [[classes[tag] for tag in part] for part in parts]


def possible(path) -> bool:
    before = "O"
    for name in path:
        if name[:2] == "I-" and (before == "O" or before[2:] != name[2:]):
            return False
        before = name
    return True


def test_the_decoded_path_is_the_best_of_all_that_make_sense():
    inventory, random = Inventory(tuple(CLASSES)), np.random.default_rng(3)
    for length in (1, 2, 4):
        for _ in range(20):
            chance = random.dirichlet(np.ones(5), size=length)
            first = np.arange(length) == 0
            paths = [
                path
                for path in itertools.product(range(5), repeat=length)
                if possible([CLASSES[tag] for tag in path])
            ]
            best = max(paths, key=lambda p: np.log(chance[np.arange(length), list(p)]).sum())
            assert decoded(chance, first, inventory).tolist() == list(best)


def test_documents_are_decoded_each_for_itself():
    truth, chance = documents(seed=1)
    inventory, first = Inventory(tuple(CLASSES)), truth[:, 1] == 0
    whole = decoded(chance, first, inventory)
    starts = np.flatnonzero(first)
    for start, end in zip(starts, [*starts[1:], len(truth)], strict=True):
        alone = decoded(chance[start:end], first[start:end], inventory)
        assert alone.tolist() == whole[start:end].tolist()
    assert inventory.broken(chance.argmax(axis=1), first).any(), "there was something to mend"
    assert not inventory.broken(whole, first).any()


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (["B-PS", "I-PS"], "has O"),
        (["O", "I-PS"], "no B-PS"),
        (["O", "B-PS", "LC"], "without: LC"),
        (["O", "B-PS", "I-PS", "E-PS", "S-PS"], "BIOES"),
    ],
)
def test_an_inventory_that_is_not_read_is_refused(classes, says):
    with pytest.raises(UsageError, match=says):
        task(classes)


def test_what_folds_look_at_changes_with_every_tag():
    truth, _ = documents(5)
    kind = problem_of("tags")
    before = kind.document_targets(truth, CLASSES)
    entities = [sum(tag.startswith("B-") for tag in tags) for tags in as_lists(truth, truth[:, 0])]
    assert before[:, :-1].sum(axis=1).tolist() == entities
    changed = truth.copy()
    row = int(np.flatnonzero(truth[:, 0] == 1)[0])
    changed[row, 0] = 3
    now = kind.document_targets(changed, CLASSES)
    document = int((truth[: row + 1, 1] == 0).sum()) - 1
    assert np.flatnonzero((before != now).any(axis=1)).tolist() == [document]


def test_what_happened_to_entities_is_counted_by_type():
    classes = ["O", "B-PS", "I-PS", "B-LC", "I-LC"]
    numbers = {"O": 0, "P": 1, "p": 2, "L": 3, "l": 4}
    tags, labels = (
        np.array([numbers[sign] for sign in documents])
        for documents in ("PpOLOPpLOOPpOOO", "PpOPOPOPpOOOOLl")
    )
    targets = np.column_stack([tags, np.tile(np.arange(5), 3)]).astype(float)
    fates, rows = problem_of("tags").mistakes(targets, labels, classes)
    assert fates == ["right", "wrong type", "wrong border", "both wrong", "missed", "invented"]
    assert rows == {
        "PS": [1, 0, 1, 0, 1, 0],
        "LC": [0, 1, 0, 1, 0, 1],
        "all": [1, 1, 1, 1, 1, 1],
    }
    assert problem_of("tags").mistakes(targets, tags, classes)[1]["all"] == [5, 0, 0, 0, 0, 0]
