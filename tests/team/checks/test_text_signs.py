"""What the audit sees of texts that were learned from the right answers they are scored on."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.metrics import get_metric
from pipeline.team.checks.texts import nearer_on_test

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
