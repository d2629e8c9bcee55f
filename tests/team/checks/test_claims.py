"""What a file claims out-of-fold against what its test predictions can do."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.table import Units
from pipeline.team.audit import audit
from pipeline.team.candidate_view import CandidateView
from pipeline.team.checks.claims import (
    GAP,
    GAP_ALONE,
    HALF,
    LEAST,
    MOST,
    claim_of,
    holdout_of,
    power,
)
from pipeline.team.competition import read_peers
from tests.blendable import Toy, make
from tests.team.files import contest_of, look, read, said, send

N, M = 600, 300
NOISE = 0.8


class World:
    """Labels of a part that weak runs know, a part that only a strong one knows, and noise."""

    def __init__(self, toy: Toy) -> None:
        self.random = np.random.default_rng(3)
        self.truth = dict(toy.truth)
        self.weak, self.strong = {}, {}
        for file, rows in (("train", N), ("test", M)):
            known, hidden = self.random.normal(size=(2, rows, 1))
            self.weak[file], self.strong[file] = known, known + hidden
            self.truth[file] = known + hidden + NOISE * self.random.normal(size=(rows, 1))

    def says(self, knows: dict[str, np.ndarray], own: float) -> dict[str, np.ndarray]:
        """Predictions with noise of their own; on test that of the mean of four learners."""
        shares = {"train": own, "test": own / 2}
        return {
            file: each + shares[file] * self.random.normal(size=each.shape)
            for file, each in knows.items()
        }


@pytest.fixture
def toy(tmp_path) -> Toy:
    return make(tmp_path, "regression", "pearson", n=N, m=M)


@pytest.fixture
def seen(toy):
    """The world, its contest, and the view of a file beside two weak runs."""
    world = World(toy)
    for place, name in enumerate(("m0", "m1")):
        toy.truth = world.weak
        toy.add_run(name, 0.4, seed=place)
    contest = contest_of(toy)
    contest.__dict__["truth"] = world.truth["train"]
    peers, _ = read_peers(toy.paths, contest)

    def view(values, beside=True):
        candidate = read(toy, send(toy, values))
        return CandidateView(candidate, contest, peers if beside else [])

    return world, view


def found(subject) -> tuple[str, str]:
    """The grade of the check on all rows, and what it says."""
    line, *_ = [each for each in audit(subject).findings if each.check == "claims"]
    return line.grade, line.says


def leaky(world, knows, share, own=0.3):
    """An honest file into which a share of what its errors leave of the labels was learned."""
    values = world.says(knows, own)
    train = values["train"]
    return values | {"train": train + share * (world.truth["train"] - train)}


def test_a_weak_file_that_learned_the_labels_is_out_and_says_why(seen):
    world, view = seen
    grade, says = found(view(leaky(world, world.weak, 0.9)))
    assert grade == "out"
    assert "it has seen the labels it is scored on" in says
    assert "of the error that the 2 other runs leave it removes" in says


def test_alone_it_is_unproven_as_nothing_tells_that_test_is_alike(seen):
    world, view = seen
    grade, says = found(view(leaky(world, world.weak, 0.95), beside=False))
    assert grade == "unproven"
    assert "a constant leaves" in says


def test_a_much_stronger_honest_file_is_in_and_what_is_taken_on_trust_is_said(seen):
    world, view = seen
    subject = view(world.says(world.strong, 0.3))
    assert claim_of(subject).share > HALF
    grade, says = found(subject)
    assert grade == "warning"
    assert "that is much, and a leak need not have shown below" in says
    (leakage,) = [each for each in audit(subject).findings if each.check == "leakage"]
    assert leakage.says.startswith("not excluded: nothing found")
    weaker = view(world.says(world.strong, 1.0))
    assert LEAST < claim_of(weaker).share < HALF
    assert found(weaker)[0] == "ok"


def test_what_averaging_takes_from_the_others_hides_no_leak(seen):
    """Their variances shrink by half on test, their covariance does not: test is of one kind."""
    world, view = seen
    random = np.random.default_rng(5)
    subject = view(leaky(world, world.weak, 0.5))
    whims = [
        replace(
            peer,
            oof=world.weak["train"] + random.normal(size=peer.oof.shape),
            test=world.weak["test"] + 0.1 * random.normal(size=peer.test.shape),
        )
        for peer in subject.peers
    ]
    beside = CandidateView(subject.candidate, subject.contest, whims)
    train, test = (np.mean([np.var(part(peer)) for peer in whims]) for part in
                   (lambda peer: peer.oof, lambda peer: peer.test))  # fmt: skip
    assert train / test > 1.8
    assert claim_of(beside).alike == pytest.approx(1.0, abs=0.15)
    one = CandidateView(subject.candidate, subject.contest, whims[:1])
    assert claim_of(one).alike == 1.0


def test_honest_files_of_all_strengths_stay_far_below_the_bound(seen):
    world, view = seen
    for knows in (world.weak, world.strong):
        for own in (0.1, 0.5, 1.0):
            claim = claim_of(view(world.says(knows, own)))
            assert not claim.broken
            if knows is world.strong:
                assert claim.share - claim.reach < -claim.error


def test_a_combination_of_the_other_runs_adds_nothing_to_be_doubted(seen):
    world, view = seen
    peers = view(world.says(world.weak, 0.3)).peers
    mean = {
        "train": (peers[0].oof + peers[1].oof) / 2,
        "test": (peers[0].test + peers[1].test) / 2,
    }
    subject = view(mean)
    assert (claim_of(subject).share, found(subject)[0]) == (0.0, "ok")


def test_one_fold_that_was_trained_on_is_named(seen, toy):
    world, view = seen
    values, whole = world.says(world.weak, 0.3), leaky(world, world.weak, 0.9)
    rows = toy.folds.valid_rows(0, 2)
    values["train"][rows] = whole["train"][rows]
    claims = [each for each in audit(view(values)).findings if each.check == "claims"]
    assert any(each.grade == "unproven" and each.says.startswith("fold 2") for each in claims)


def test_what_is_too_good_without_a_broken_bound_is_unproven(seen):
    world, view = seen
    nearly = {
        file: truth + 0.05 * world.random.normal(size=truth.shape)
        for file, truth in world.truth.items()
    }
    subject = view(nearly)  # on test it knows the labels as well, as no honest file could
    assert claim_of(subject).share > MOST
    grade, says = found(subject)
    assert grade == "unproven"
    assert "too good to be believed without proof" in says


def test_a_test_file_of_another_kind_is_not_taken_for_a_leak(seen):
    world, view = seen
    values = world.says(world.strong, 0.2)
    subject = view(values)
    narrow = [replace(peer, test=peer.test / 3) for peer in subject.peers]
    flat = view(values | {"test": values["test"] / 3})
    shifted = CandidateView(flat.candidate, flat.contest, narrow)
    assert found(flat)[0] == "out"
    assert found(shifted)[0] == "warning"


class Holdout:
    """A world with *held* labelled rows that nobody was trained on."""

    def __init__(self, toy: Toy, held: int = 300) -> None:
        self.toy = toy
        random = np.random.default_rng(4)
        self.weak, self.strong, self.truth = {}, {}, {}
        for file, rows in (("train", N), ("test", M), ("dev", held)):
            known, hidden = random.normal(size=(2, rows, 1))
            self.weak[file], self.strong[file] = known, known + hidden
            self.truth[file] = known + hidden + 0.2 * random.normal(size=(rows, 1))
        toy.truth = self.weak
        toy.add_run("m0", 0.4, seed=1)
        self.contest = contest_of(toy)
        self.contest.__dict__["truth"] = self.truth["train"]
        assert self.contest.tables.holdout is not None
        self.contest.tables.holdout.targets[:] = self.truth["dev"]
        self.peers, _ = read_peers(toy.paths, self.contest)

    def view(self, values) -> CandidateView:
        path = send(self.toy, values, files=("train", "test", "dev"))
        return CandidateView(read(self.toy, path), self.contest, self.peers)


@pytest.fixture
def labelled(tmp_path) -> Holdout:
    return Holdout(make(tmp_path, "regression", "pearson", n=N, m=M, holdout=True, h=300))


def test_the_holdout_confirms_what_would_be_too_good(labelled):
    subject = labelled.view(dict(labelled.strong))
    claim, held = claim_of(subject), holdout_of(subject)
    assert claim.share > MOST
    assert held.confirms
    assert found(subject)[0] == "ok"
    hidden = CandidateView(subject.candidate, subject.contest, subject.peers)
    hidden.__dict__["has_holdout"] = False
    assert found(hidden)[0] == "unproven"


def test_what_is_not_there_on_the_holdout_is_unproven(labelled):
    values = {file: each + 0.6 * (labelled.strong[file] - each) for file, each in
              labelled.weak.items()}  # fmt: skip
    learned = values | {"dev": labelled.weak["dev"], "test": values["test"]}
    claims = [each for each in audit(labelled.view(learned)).findings if each.check == "claims"]
    (told,) = [each for each in claims if "holdout rows" in each.says]
    assert told.grade == "unproven"
    honest = [each for each in audit(labelled.view(values)).findings if each.check == "claims"]
    assert [each.grade for each in honest if "holdout rows" in each.says] == ["ok"]


def beside_holdout(subject) -> str:
    """The grade of what a file removes on holdout rows."""
    claims = [each for each in audit(subject).findings if each.check == "claims"]
    (told,) = [each for each in claims if "on holdout rows" in each.says]
    return told.grade


def by_heart(labelled, share: float, own: float) -> dict[str, np.ndarray]:
    """Beside weak runs: a *share* of the labels that were seen, noise for all other rows."""
    random = np.random.default_rng(6)
    values = {
        file: each + own * random.normal(size=each.shape) for file, each in labelled.weak.items()
    }
    train = labelled.weak["train"]
    return values | {"train": train + share * (labelled.truth["train"] - train)}


@pytest.mark.parametrize("rows", [26, 40])
def test_few_holdout_rows_that_come_out_far_worse_are_enough(tmp_path, rows):
    """Their squared error grew so much that the error of its share hid it."""
    toy = make(tmp_path, "regression", "pearson", n=N, m=M, holdout=True, h=rows)
    labelled = Holdout(toy, rows)
    subject = labelled.view(by_heart(labelled, 0.6, 2.0))
    held = holdout_of(subject)
    assert held.there < -0.5 < 0.5 < held.train
    assert held.train - held.there < 4 * held.error
    assert beside_holdout(subject) == "unproven"
    assert beside_holdout(labelled.view(dict(labelled.strong))) == "ok"


def test_units_of_a_held_out_document_count_once(labelled):
    """Ten rows that say the same are one; of nineteen documents nothing is said."""
    values = by_heart(labelled, 0.6, 2.0)
    number = np.arange(300) // 10
    for each in (values["dev"], labelled.truth["dev"], labelled.contest.tables.holdout.targets):
        each[:] = each[10 * number]
    rows = labelled.view(values)

    def of_documents(number: np.ndarray) -> CandidateView:
        tables, ids = labelled.contest.tables, number.astype(str).astype(object)
        place = np.arange(300) - np.searchsorted(number, number)
        units = Units(document=ids, place=place, after=np.full(300, "", dtype=object))
        held = replace(tables.holdout, units=units)
        contest = replace(labelled.contest, tables=replace(tables, holdout=held))
        contest.__dict__["truth"] = labelled.truth["train"]
        return CandidateView(rows.candidate, contest, labelled.peers)

    told, doubted = holdout_of(rows), holdout_of(of_documents(number))
    assert doubted.there == told.there
    assert doubted.apart < 0.7 * told.apart
    assert holdout_of(of_documents(number // 2)) is None


def test_alone_a_holdout_of_another_mix_is_no_reason_for_doubt(labelled):
    """Where nothing is known of the mix more is asked for: half of what it removed stays away."""
    random = np.random.default_rng(7)
    values = dict(labelled.weak)
    values["dev"] = values["dev"] + 0.9 * random.normal(size=values["dev"].shape)
    subject = labelled.view(values)
    alone = CandidateView(subject.candidate, subject.contest, [])
    held = holdout_of(alone)
    assert held.there < held.train / 2
    assert GAP < held.apart < GAP_ALONE == held.bound
    assert beside_holdout(alone) == "ok"


def test_runs_in_doubt_show_nothing(seen):
    world, view = seen
    subject = view(world.says(world.strong, 0.3))
    doubted = [replace(peer, manifest={"selection": "best-on-valid"}) for peer in subject.peers]
    alone = CandidateView(subject.candidate, subject.contest, doubted)
    assert list(alone.trusted) == []
    assert "a constant leaves" in found(alone)[1]


def test_the_power_is_told_and_kept(seen):
    world, view = seen
    subject = view(world.says(world.strong, 0.3))
    assert audit(subject).power == power(subject)
    assert power(subject).startswith("labels that were seen would have shown from")


def test_too_few_rows_are_said_to_be_unchecked(tmp_path):
    toy = make(tmp_path, "regression", "pearson", n=60, m=20)
    assert "claims: not checked" in said(look(toy, send(toy)), "ok")
