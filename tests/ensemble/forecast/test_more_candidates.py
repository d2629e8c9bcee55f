"""What the candidates of all learners gain on test, told without its right answers."""

import math

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.data.candidates import Candidates
from pipeline.ensemble.texts import more_candidates
from pipeline.ensemble.texts.more_candidates import gain_of_more
from pipeline.ensemble.texts.nest import Consensus, TextEvidence
from pipeline.ensemble.texts.pool import pooled
from pipeline.metrics import get_metric
from tests.nightly import nightly

WORDS = ["a", "pub", "near", "the", "river", "serves", "cheap", "food", "and", "tea"]
ROWS, FOLDS, WRONG = 60, 5, 0.4
MEAN = Consensus(np.array([0.5, 0.5]))


def metric_of(name: str):
    metric = get_metric(name, TaskConfig(problem="text", metric=name))
    assert metric.formula.texts is not None
    return metric, metric.formula.texts


def learner(random: np.random.Generator, truth: list[str], wrong: float) -> Candidates:
    """Three candidates a row: what this learner makes of it, then with a few words changed."""
    found = []
    for right in truth:
        own = changed(random, right, wrong)
        found.append([own, changed(random, own, 0.2), changed(random, own, 0.2)])
    return Candidates(found, [[math.nan] * 3 for _ in truth])


def changed(random: np.random.Generator, text: str, share: float) -> str:
    words = text.split()
    other = random.choice(WORDS, size=len(words))
    return " ".join(np.where(random.random(len(words)) < share, other, words).tolist())


class World:
    """Two members of five learners; what a blend scores on held-out and on test rows is known."""

    def __init__(self, name: str, seed: int, wrong: tuple[float, float] = (WRONG, WRONG)) -> None:
        random = np.random.default_rng(seed)
        self.metric, self.score = metric_of(name)
        truth, self.answers = (
            [" ".join(random.choice(WORDS, size=9)) for _ in range(ROWS)] for _ in range(2)
        )
        out_of_fold = [[learner(random, truth, each)] for each in wrong]
        self.test = [[learner(random, self.answers, each) for _ in range(FOLDS)] for each in wrong]
        references = np.empty(ROWS, dtype=object)
        references[:] = [(each,) for each in truth]
        self.evidence = TextEvidence.gather(
            ["one", "other"],
            pooled(out_of_fold, self.score),
            references,
            np.arange(ROWS) % FOLDS,
            np.arange(ROWS),
            self.metric,
        )

    def told(self, blend: Consensus = MEAN, together: int = 1, test=None):
        test = self.test if test is None else test
        return gain_of_more(test, [together] * 2, blend, self.evidence, self.score)

    def true_gain(self, blend: Consensus = MEAN) -> float:
        references = np.empty(ROWS, dtype=object)
        references[:] = [(each,) for each in self.answers]

        def scored(sets: list[list[Candidates]]) -> float:
            return self.metric.gain(references, blend.texts(pooled(sets, self.score)))

        one = [scored([[own[fold]] for own in self.test]) for fold in range(FOLDS)]
        return scored(self.test) - float(np.mean(one))


@pytest.mark.parametrize("name", [nightly("chrf"), "rouge-l"])
def test_the_gain_that_is_told_is_the_one_that_comes(name: str) -> None:
    worlds = [World(name, seed) for seed in range(2)]
    true = np.array([world.true_gain() for world in worlds])
    told = np.array([world.told().gain for world in worlds])
    assert (true > 0.05).all()
    assert abs(told.mean() - true.mean()) < 0.2 * true.mean()
    doubt = np.array([world.told().doubt for world in worlds])
    assert (np.abs(true - told) < 2 * doubt).all()


def test_the_name_counts_the_learners() -> None:
    assert World("chrf", 0).told().name == "candidates of five"


def test_learners_that_say_the_same_gain_nothing() -> None:
    world = World("chrf", 1)
    told = world.told(test=[[own[0]] * FOLDS for own in world.test])
    assert told.gain == 0


def test_one_learner_at_its_word_gains_nothing() -> None:
    move = World("chrf", 2).told(Consensus(np.array([1.0, 0.0]), alone=True))
    assert (move.gain, move.doubt) == (0, 0)


def test_a_member_of_no_weight_does_not_count() -> None:
    world = World("chrf", 3, (WRONG, 0.9))
    alone = Consensus(np.array([1.0, 0.0]))
    other = World("chrf", 3, (WRONG, 0.9))
    other.test[1] = [learner(np.random.default_rng(9), world.answers, 0.1)] * FOLDS
    assert world.told(alone).gain == pytest.approx(other.told(alone).gain, rel=1e-9)


def test_learners_of_two_seeds_speak_together_of_a_held_out_row() -> None:
    """Of two seeds a held-out row has two learners, so there is less that more of them can add."""
    world = World("chrf", 4)
    twice = [[*own, *own] for own in world.test]
    assert world.told(together=2, test=twice).gain == pytest.approx(world.told().gain)


def test_a_member_whose_learners_are_not_known_one_by_one_is_in_every_part() -> None:
    """It adds nothing new on test, so less is gained than where all members have five."""
    world = World("chrf", 5)
    told = world.told(test=[world.test[0], world.test[1][:1]])
    assert told is not None
    assert told.gain < world.told().gain / 2


def test_none_where_each_learner_says_one_thing() -> None:
    """Among one candidate there is nothing that tells what agreement is worth."""
    world = World("chrf", 6)
    for own in world.test:
        own[:] = [Candidates.single(each.best.tolist()) for each in own]
    assert world.told(Consensus(np.array([1.0, 0.0]))) is None


@pytest.mark.parametrize(
    "blend", [Consensus(np.array([1.0, 0.0]), alone=True, penalty=1.0), MEAN], ids=["ranked", "two"]
)
def test_none_where_it_cannot_be_told(blend: Consensus) -> None:
    world = World("chrf", 6)
    assert world.told(blend, test=[own[:2] for own in world.test]) is None


def test_what_four_gain_over_one_is_as_much_of_what_all_four_do_as_their_number_says(monkeypatch):
    """Three learners say the same and one another: of three that are asked two say so, and what is
    taken of them is what the fourth says in three of four cases, where one alone is so in two of
    three of these. By 1 - 1 / K, four gain nine eighths of what three do."""
    monkeypatch.setattr(more_candidates, "_worth_of_agreement", lambda *_: 1.0)
    monkeypatch.setattr(more_candidates._Slope, "value", property(lambda _: 1.0))
    world = World("exact-match", 0)
    said = ["so", "so", "so", "otherwise"]
    test = [[Candidates([[each]], [[math.nan]]) for each in said] for _ in range(2)]
    told = world.told(test=test)
    assert told.gain == pytest.approx(3 / 4 * (1 - 2 / 3) * (1 - 1 / 4) / (1 - 1 / 3))
