"""Tags: the inventory, decoding of whole documents, metrics beside seqeval's."""

import itertools

import numpy as np
import pytest
from seqeval.metrics import f1_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from sklearn.metrics import f1_score as of_units

from pipeline.base import UsageError
from pipeline.base.config import TaskConfig
from pipeline.metrics import MetricError, get_metric
from pipeline.metrics.bootstrap import Draws, resampled_gains
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
    ("metric", "average"), [("entity-f1", "micro"), ("entity-macro-f1", "macro")]
)
@pytest.mark.parametrize("seed", range(5))
def test_entity_f1_is_seqevals_strict_iob2(metric, average, seed):
    truth, chance = documents(seed)
    found = get_metric(metric, task())
    labels = found.labels(truth, chance)[:, 0]
    expected = f1_score(
        as_lists(truth, truth[:, 0]), as_lists(truth, labels), average=average, mode="strict",
        scheme=IOB2,
    )  # fmt: skip
    assert found.score(truth, chance) == pytest.approx(expected, abs=1e-12)


def test_f_beta_of_entities_and_f1_of_some_types_are_seqevals():
    truth, chance = documents(7)
    labels = get_metric("entity-f1", task()).labels(truth, chance)[:, 0]
    given = as_lists(truth, truth[:, 0]), as_lists(truth, labels)
    five = precision_recall_fscore_support(*given, average="micro", beta=5, scheme=IOB2)[2]
    assert get_metric("entity-f-beta(5)", task()).score(truth, chance) == pytest.approx(five)
    by_type = precision_recall_fscore_support(*given, average=None, scheme=IOB2)[2]
    for name, expected in zip(["LC", "PS"], by_type, strict=True):
        score = get_metric(f"entity-f1({name})", task()).score(truth, chance)
        assert score == pytest.approx(expected)


def test_an_inside_tag_without_a_beginning_counts_for_nothing():
    truth = np.array([[1, 0], [2, 1], [0, 2], [2, 0], [0, 1]], float)  # the second begins with I-
    guess = np.eye(5)[[1, 2, 0, 0, 0]]
    assert get_metric("entity-f1", task()).score(truth, guess) == 1


def test_klues_character_f1_keeps_o_and_counts_a_missing_tag_as_right():
    truth, chance = documents(2)
    truth[truth[:, 0] >= 3, 0] = 0  # no PS at all among the labels
    chance[:, 3:] = 1e-9
    labels = get_metric("klue-char-f1", task()).labels(truth, chance)[:, 0]
    expected = of_units(truth[:, 0], labels, average="macro", labels=range(5), zero_division=1.0)
    assert get_metric("klue-char-f1", task()).score(truth, chance) == pytest.approx(expected)
    without = of_units(truth[:, 0], labels, average="macro", labels=range(1, 5), zero_division=1.0)
    assert abs(expected - without) > 0.01


def test_klues_one_list_joins_an_entity_over_the_border_of_two_documents():
    truth = np.array([[1, 0], [2, 0], [0, 1]], float)  # B-LC | I-LC O
    guess = np.eye(5)[[1, 0, 0]]
    assert get_metric("entity-macro-f1", task()).score(truth, guess) == 1
    assert get_metric("klue-entity-f1", task()).score(truth, guess) == 0


def test_f_beta_of_units_leaves_o_out():
    truth = np.array([[1, 0], [2, 1], [0, 2], [3, 3]], float)
    guess = np.eye(5)[[1, 2, 1, 0]]  # two right, one too much, one missed
    assert get_metric("f-beta(5)", task()).score(truth, guess) == pytest.approx(
        26 * 2 / (25 * 3 + 3)
    )


def test_a_metric_without_any_entity_says_so():
    truth = np.array([[0, 0], [0, 1]], float)
    with pytest.raises(MetricError, match="no entity"):
        get_metric("entity-f1", task()).score(truth, np.eye(5)[[0, 0]])


@pytest.mark.parametrize(
    "metric", ["entity-f1", "entity-macro-f1", "klue-char-f1", "f-beta(5)", "accuracy", "log-loss"]
)
def test_draws_of_whole_documents_score_as_the_documents_written_out(metric):
    truth, chance = documents(4, count=12)
    found, document = get_metric(metric, task()), np.cumsum(truth[:, 1] == 0) - 1
    draws = Draws.over(document, seed=1, resamples=5)
    drawn = resampled_gains(found, truth, chance, draws)
    for counts, gain in zip(draws.counts, drawn, strict=True):
        rows = np.concatenate(
            [
                np.flatnonzero(draws.block_of_row == block)
                for block, times in enumerate(counts)
                for _ in range(int(times))
            ]
        )
        assert found.gain(truth[rows], chance[rows]) == pytest.approx(gain)


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


def test_a_mean_is_refused_early_and_a_function_that_is_not_there():
    with pytest.raises(UsageError, match="tags yet"):
        get_metric("mean(entity-f1, accuracy)", task())
    with pytest.raises(UsageError, match="'mine:score' cannot be imported"):
        get_metric("mine:score", task())


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
