"""How test and held-out rows stand to what was learnt from, and the folds that make both alike."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.base.errors import ArtifactError
from pipeline.base.paths import Paths
from pipeline.data.table import Table
from pipeline.folds.frozen import frozen
from pipeline.folds.recipe import choose_recipe, groups_of, split_some
from pipeline.folds.relation import (
    APART,
    FEWEST,
    LEVELS,
    Relation,
    chance,
    compare_folds,
    differ,
    of_folds,
    of_test,
    relatives,
)

WORDS = ["river", "stone", "quiet", "engine", "paper", "window", "garden", "market", "signal"]
FOLDS = FoldsConfig()


def sentence(random):
    return " ".join(random.choice(WORDS, 6)) + f" {random.integers(10**9)}"


def table(texts, name="r", **features):
    texts = np.array(texts, dtype=object).reshape(len(texts), -1)
    ids = np.array([f"{name}{row}" for row in range(len(texts))], dtype=object)
    columns = {key: np.array(values, dtype=object) for key, values in features.items()}
    return Table(ids=ids, texts=texts, features=columns)


def prompts(count, size, seed=0):
    """Pairs of which *size* rows share the first sentence, in random order."""
    random = np.random.default_rng(seed)
    heads = [sentence(random) for _ in range(count)]
    pairs = [(head, sentence(random)) for head in heads for _ in range(size)]
    return [pairs[place] for place in random.permutation(len(pairs))]


def authors(count, size, name, seed):
    random = np.random.default_rng(seed)
    who = np.repeat([f"{name}{number}" for number in range(count)], size)
    return [[sentence(random)] for _ in who], who[random.permutation(len(who))]


def test_the_nearest_relative_of_each_row():
    train = table([("a b c", "d e f"), ("long sentence number one here", "x"), ("same", "same")])
    test = table(
        [
            ("D e f.", "A B C"),  # the same row, sides swapped
            ("a b c", "new"),  # a shared sentence
            ("long sentence number one hero", "y"),  # one letter off
            ("nothing", "alike"),
            ("", ""),
        ]
    )
    ours, theirs = relatives([train, test], threshold=0.7)
    found = of_test(theirs, ours)
    assert [round(5 * found.shares[level]) for level in LEVELS] == [1, 1, 1, 0, 2]
    assert found.reached["a near sentence"] == pytest.approx(3 / 5)


def test_held_out_rows_are_held_against_the_other_folds_only():
    train = table(["one", "one", "two", "three"], author=["x", "y", "x", ""])
    (ours,) = relatives([train], columns=["author"])
    together = of_folds(ours, np.array([0, 0, 1, 1]))
    apart = of_folds(ours, np.array([0, 1, 1, 0]))
    assert together.shares["same texts"] == 0
    assert apart.shares["same texts"] == 0.5
    assert together.seen["author"] == pytest.approx(2 / 3), "of the rows that have an author"


def shares(*values, rows=400, **seen):
    return Relation(rows=rows, shares=dict(zip(LEVELS, values, strict=True)), seen=seen)


def test_the_share_that_differs_most_is_the_one_that_is_told():
    folds = shares(0.0, 0.5, 0.1, 0.0, 0.4, author=0.9)
    nearer = shares(0.1, 0.4, 0.1, 0.0, 0.4, author=0.3)
    assert differ(nearer, folds).startswith("30 % of the test rows have a value of author that")
    assert differ(nearer, folds).endswith("test is harder than what the folds ask")
    copies = shares(0.5, 0.0, 0.1, 0.0, 0.4, author=0.9)
    assert differ(copies, folds).startswith(
        "50 % of the test rows have the texts of a row of train"
    )
    assert differ(copies, folds).endswith("test is easier than what the folds ask")
    few = replace(copies, rows=FEWEST - 1)
    assert differ(few, folds) is None
    assert differ(replace(copies, rows=FEWEST), folds)


@pytest.mark.parametrize(("rows", "allowed"), [(100, 0.1), (1600, 0.025)])
def test_a_difference_within_chance_is_none(rows, allowed):
    """Two standard errors of a half of the rows."""
    test = shares(0.5, 0.0, 0.0, 0.0, 0.5, rows=rows)
    assert chance(test) == pytest.approx(allowed)
    for more, told in ((-0.001, False), (0.001, True)):
        share = 0.5 + APART + allowed + more
        assert (differ(test, shares(share, 0.0, 0.0, 0.0, 1 - share)) is not None) == told


def test_a_few_letters_off_are_near_only_where_a_lower_threshold_is_asked_for():
    train = table([("long sentence number one here",), ("wholly different things",)])
    test = table([("long sentence numb one heroes",)], "t")
    found, _ = compare_folds(train, test, np.array([0, 1]))
    assert found.shares["a near sentence"] == 0
    found, _ = compare_folds(train, test, np.array([0, 1]), threshold=0.5)
    assert found.shares["a near sentence"] == 1


def chosen(train, test, columns=(), folds=FOLDS):
    return choose_recipe(train, test, folds, columns)


def test_a_test_file_split_at_random_from_rows_that_share_sentences_takes_folds_at_random():
    rows = prompts(60, 12)
    found = chosen(table(rows[:500]), table(rows[500:], "t"))
    assert (found.chosen.groups, found.chosen.whole, found.fits) == ("none", 1, True)
    cautious = found.tried[0]
    assert cautious.groups == "near"
    assert differ(found.test, cautious.relation).endswith("test is easier than what the folds ask")


def test_a_test_file_of_new_groups_keeps_groups_whole():
    found = chosen(table(prompts(60, 12)), table(prompts(20, 12, seed=1), "t"))
    assert (found.chosen.groups, found.chosen.whole, found.fits) == ("near", 1, True)
    loose = next(each for each in found.tried if each.groups == "none")
    assert differ(found.test, loose.relation).endswith("test is harder than what the folds ask")


def test_a_test_file_half_of_known_groups_keeps_half_of_the_groups_whole():
    known = prompts(60, 12)
    test = table(known[500:] + prompts(20, 11, seed=1), "t")
    found = chosen(table(known[:500]), test)
    assert 0.35 < found.chosen.whole < 0.65
    assert found.chosen.off < 0.1
    assert found.fits


def test_new_authors_and_a_part_of_new_authors():
    texts, who = authors(80, 8, "ann", 0)
    more, others = authors(30, 8, "bob", 1)
    train = table(texts[:500], author=who[:500])
    new = table(more, "t", author=others)
    found = chosen(train, new, ["author"], replace(FOLDS, group_columns=["author"]))
    assert found.chosen.group_columns == ("author",)
    assert found.chosen.whole == 1
    mixed = table(texts[500:] + more[:140], "t", author=np.concatenate([who[500:], others[:140]]))
    half = chosen(train, mixed, ["author"])
    assert half.chosen.group_columns == ("author",)
    assert 0.3 < half.chosen.whole < 0.7


def test_copies_that_train_has_none_of_fit_no_recipe():
    random = np.random.default_rng(3)
    train = table([sentence(random) for _ in range(400)])
    copies = table([*train.texts[:100, 0], *(sentence(random) for _ in range(200))], "t")
    found = chosen(train, copies)
    assert not found.fits
    assert found.chosen.groups == "near"
    assert "comes nearest" in found.reason


def test_what_chance_explains_fits(monkeypatch):
    random = np.random.default_rng(3)
    train = table([sentence(random) for _ in range(400)])
    copies = table([*train.texts[:100, 0], *(sentence(random) for _ in range(200))], "t")
    monkeypatch.setattr("pipeline.folds.recipe.chance", lambda test: 0.3)
    assert chosen(train, copies).fits


def test_few_test_rows_leave_the_cautious_folds():
    rows = prompts(60, 12)
    found = chosen(table(rows[:500]), table(rows[500:520], "t"))
    assert found.chosen.groups == "near"
    assert "too few" in found.reason
    assert differ(found.test, found.chosen.relation) is None


def test_groups_that_are_split_do_not_depend_on_the_order_of_the_rows():
    train = table(prompts(40, 6))
    folds = replace(FOLDS, groups="exact", whole=0.5)
    groups = groups_of(train, folds)
    sizes = np.bincount(groups)
    assert sizes[sizes > 1].sum() == pytest.approx(120, abs=6)
    order = np.random.default_rng(1).permutation(len(train))
    again = groups_of(train.rows(order), folds)
    together = groups[order][:, None] == groups[order][None]
    assert ((again[:, None] == again[None]) == together).all()


def test_a_split_group_falls_into_its_inner_groups():
    outer, inner = np.zeros(6, dtype=int), np.array([0, 0, 1, 1, 2, 3])
    ids = np.array(list("abcdef"), dtype=object)
    assert split_some(outer, inner, 0.0, ids, 0).tolist() == [0, 0, 1, 1, 2, 3]
    assert split_some(outer, inner, 1.0, ids, 0).tolist() == [0] * 6


def test_folds_with_a_share_of_whole_groups_are_frozen_and_others_keep_their_passport(tmp_path):
    train = table(prompts(40, 6))
    train = replace(train, targets=np.arange(240.0)[:, None] % 7)
    for name, whole in (("all", 1.0), ("half", 0.5)):
        competition = Competition(
            name=name,
            data=DataConfig(train="train.csv", test="test.csv", sample_submission=""),
            columns=ColumnsConfig(id="id", texts=["a", "b"], targets=["score"]),
            task=TaskConfig(problem="regression", metric="rmse"),
            folds=FoldsConfig(groups="exact", whole=whole),
        )
        paths = Paths(tmp_path, name)
        found = frozen(competition, paths, train)
        recipe = json.loads(paths.passport.read_text())["recipe"]["folds"]
        (ours,) = relatives([train])
        sharing = of_folds(ours, found.fold_of_row).reached["a shared sentence"]
        if name == "all":
            assert "whole" not in recipe, "the bytes of passports from before"
            assert sharing == 0
        else:
            assert recipe["whole"] == 0.5
            assert 0.35 < sharing < 0.65
            loose = replace(competition, folds=replace(competition.folds, whole=0.4))
            with pytest.raises(ArtifactError, match=r"folds\.whole was 0\.5"):
                frozen(loose, paths, train)
