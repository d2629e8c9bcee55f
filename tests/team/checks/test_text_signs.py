"""What the audit sees of texts that were learned from the right answers they are scored on."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.metrics import get_metric
from pipeline.team.checks.texts import (
    FEWEST,
    SIGNS,
    at_the_expense,
    has_logs,
    nearer_on_test,
    surer_on_train,
)

WORDS = ["a", "pub", "near", "the", "river", "serves", "cheap", "food", "and", "tea"]
METRIC = get_metric("chrf", TaskConfig(problem="text", metric="chrf"))
ROWS, TRAIN = 260, 160


def changed(random: np.random.Generator, texts: list[str], wrong: int) -> list[str]:
    """*texts* with so many words of each changed."""
    found = []
    for text in texts:
        words = text.split()
        for place in random.choice(len(words), size=wrong, replace=False):
            words[place] = str(random.choice(WORDS))
        found.append(" ".join(words))
    return found


def run(texts: list[str]) -> SimpleNamespace:
    every = np.array(texts, dtype=object)
    return SimpleNamespace(oof=every[:TRAIN], test=every[TRAIN:])


@pytest.mark.parametrize(
    ("share", "grade"), [(0.0, None), (0.35, "unproven"), (1.0, "out")], ids=str
)
def test_texts_that_left_the_others_on_train_alone_are_seen(share, grade):
    """All runs say nearly the same, far from the right answers; what saw these leaves them."""
    random = np.random.default_rng(2)
    right = [" ".join(random.choice(WORDS, size=8)) for _ in range(ROWS)]
    usual = changed(random, right, 6)
    peers = [run(changed(random, usual, 2)) for _ in range(2)]
    mine = changed(random, usual, 1)
    if not share:
        for row in range(0, ROWS, 3):  # better than they, on train as on test
            mine[row] = right[row]
    seen = int(share * TRAIN)
    mine[:seen] = changed(random, right[:seen], 1)
    truth = np.empty(TRAIN, dtype=object)
    truth[:] = [(each,) for each in right[:TRAIN]]
    score = METRIC.formula.texts
    assert score is not None
    own = run(mine)
    subject = SimpleNamespace(
        trusted=peers,
        whole=True,
        oof=own.oof,
        test=own.test,
        contest=SimpleNamespace(metric=METRIC),
        off=lambda said, rows: 1 - score.alone(truth[rows], said[rows]),
    )
    found = [each.grade for each in nearer_on_test(subject)]
    assert found == ([] if grade is None else [grade])


def answered(random: np.random.Generator, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) right answers of each row, two people's way of saying it, and a third one's texts, of
    which a *share* is the first or second person's."""
    truth, said = np.empty(TRAIN, dtype=object), []
    for row in range(TRAIN):
        facts = [str(each) for each in random.choice(WORDS, size=4 + row % 5)]
        ways = [
            " ".join(f"{each} {random.choice(['is it', 'and so', 'we hear'])}" for each in facts)
            for _ in range(3)
        ]
        truth[row] = tuple(ways[:2])
        said.append(ways[random.integers(2)] if random.random() < share else ways[2])
    return truth, np.array(said, dtype=object)


@pytest.mark.parametrize(
    ("share", "usual", "seen"), [(0.0, [], False), (0.6, [], True), (0.6, [0.6], False)], ids=str
)
def test_one_right_answer_learned_by_heart_is_seen_by_what_it_costs_the_others(share, usual, seen):
    """Right answers that were made to be unlike cost any text that hits one the other: what the
    other runs have is no sign."""
    random = np.random.default_rng(3)
    truth, said = answered(random, share)
    peers = []
    for other in usual:
        again = said.copy()
        drawn = np.flatnonzero(random.random(TRAIN) < other)
        again[drawn] = [truth[row][random.integers(2)] for row in drawn]
        peers.append(SimpleNamespace(oof=again))
    subject = SimpleNamespace(
        oof=said,
        known=np.ones(TRAIN, dtype=bool),
        trusted=peers,
        contest=SimpleNamespace(truth=truth, folds=SimpleNamespace(group_of_row=np.arange(TRAIN))),
    )
    found = list(at_the_expense(subject))
    assert [each.grade for each in found] == ["unproven"] * seen
    assert all("was one of them learned by heart?" in each.says for each in found)
    subject.known[FEWEST - 1 :] = False
    assert not list(at_the_expense(subject)), "too few rows say nothing"


def candidates(
    random: np.random.Generator, level: float, rows: int, merged: int = 1
) -> list[tuple[list[str], list[float]]]:
    """Texts of ten characters or more, by a learner that is as sure of a character as *level*."""
    found = []
    for _ in range(rows):
        size = int(random.integers(10, 60))
        log = size * (level + 0.02 * float(random.standard_normal()))
        found.append((["x" * size] * merged, [log - float(np.log(merged))] * merged))
    return found


@pytest.mark.parametrize(
    ("train", "test", "seen"),
    [
        ((-0.20, -0.15, -0.10), -0.20, False),  # test by the learner that is the least sure
        ((-0.20, -0.15, -0.10), -0.10, False),
        ((-0.10, -0.10, -0.10), -0.20, True),  # one that saw all rows, and an honest one on test
        ((-0.10, -0.10, -0.10), -0.12, True),
        ((-0.15, -0.10, -0.10), -0.15, False),  # one honest fold: not told
    ],
    ids=str,
)
def test_a_file_that_is_surer_of_every_fold_than_of_test_is_seen(train, test, seen):
    random = np.random.default_rng(5)
    said = {
        "train": np.empty(TRAIN, dtype=object),
        "test": np.empty(ROWS - TRAIN, dtype=object),
    }
    fold = np.arange(TRAIN) % 3
    for number, level in enumerate(train):
        rows = np.flatnonzero(fold == number)
        said["train"][rows] = np.array([*candidates(random, level, len(rows)), None], object)[:-1]
    said["test"][:] = np.array([*candidates(random, test, ROWS - TRAIN, 3), None], object)[:-1]
    subject = SimpleNamespace(
        whole=True,
        trusted=[],
        candidate=SimpleNamespace(said=said),
        fold_rows=[np.flatnonzero(fold == number) for number in range(3)],
    )
    assert has_logs(subject)
    assert [each.grade for each in surer_on_train(subject)] == ["unproven"] * seen
    harder = [
        SimpleNamespace(
            texts=[texts for texts, _ in said[part].tolist()],
            log_probabilities=[logs for _, logs in said[part].tolist()],
        )
        for part in ("train", "test")
    ]
    peer = SimpleNamespace(said=SimpleNamespace(oof=harder[:1], test=harder[1:]))
    subject.trusted = [peer]
    assert not list(surer_on_train(subject)), "another run is as much surer: test rows are harder"
    said["test"][0] = (["a"], [float("nan")])
    assert not has_logs(subject)
    assert not list(surer_on_train(subject))


def test_both_are_looked_at():
    assert {at_the_expense, surer_on_train} <= set(SIGNS)
