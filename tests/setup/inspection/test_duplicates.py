from dataclasses import replace

import numpy as np

from pipeline.base.config import FoldsConfig
from pipeline.setup.inspection import duplicates as copies_room
from pipeline.setup.inspection.duplicates import (
    EMPTY,
    code,
    copies,
    group_facts,
    overlap,
    undecided,
)
from tests.setup.inspection.toys import table

PAIRS = table(
    [
        ["a cat", "a dog"],
        ["A  cat.", "a dog"],  # the first again, after normalising
        ["a dog", "a cat"],  # … and again, swapped, with another label
        ["a fox", "a fox"],
        ["a hen", "an owl"],
        ["a hen", "a rat"],
        ["", ""],
        ["", ""],
    ],
    targets=[1, 1, 2, 5, 0, 0, 3, 4],
)


def test_copies_of_a_toy_file_are_those_one_finds_by_hand():
    facts = copies(PAIRS, code([PAIRS.texts])[0])
    assert (facts.repeated, facts.repeated_rows, facts.swapped) == (1, 3, 1)
    assert (facts.conflicting, facts.conflict_examples) == (1, [["r0", "r1", "r2"]])
    assert facts.same_sides == 1
    # cat, dog, fox, hen, owl, rat; cat, dog and hen stand in several rows
    assert (facts.sentences, facts.shared, facts.shared_rows) == (6, 3, 5)


def test_empty_texts_get_one_number_and_are_no_copies_of_each_other():
    coded = code([np.array([[" "], ["x"]], object), np.array([["\u200b"], ["X"]], object)])
    assert coded[0].texts[:, 0].tolist() == [EMPTY, coded[1].texts[1, 0]]
    assert coded[1].texts[0, 0] == EMPTY
    assert coded[0].names[0, 0] == ""


def test_groups_are_those_of_the_texts_themselves():
    exact, near = group_facts(PAIRS, code([PAIRS.texts])[0], FoldsConfig(groups="near"))
    assert (exact.how, exact.count, exact.largest, exact.in_company) == ("exact", 5, 3, 5)
    assert (near.how, near.rows, near.sampled) == ("near", 8, False)


def test_near_copies_are_grouped_and_of_many_rows_a_sample_is_taken_and_said(monkeypatch):
    long = "the quick brown fox jumps over the lazy dog while the old cat sleeps in the warm sun"
    rows = table([long, f"{long} again", "nothing like it"], targets=[1, 2, 3])
    exact, near = group_facts(rows, code([rows.texts])[0], FoldsConfig(groups="near"))
    assert (exact.count, near.count, near.sampled) == (3, 2, False)
    monkeypatch.setattr(copies_room, "NEAR_ROWS", 2)
    assert group_facts(rows, code([rows.texts])[0], FoldsConfig())[1].rows == 2
    assert group_facts(rows, code([rows.texts])[0], FoldsConfig())[1].sampled


def test_group_columns_join_rows():
    rows = table(["a", "b", "c"], [1, 2, 3], {"author": ["x", "y", "x"]})
    folds = FoldsConfig(groups="none", group_columns=["author"])
    facts = group_facts(rows, code([rows.texts])[0], folds)[-1]
    assert (facts.how, facts.count, facts.largest) == ("none", 2, 2)


def test_overlap_counts_swapped_ambiguous_and_contradicting_rows():
    other = table(
        [["a dog", "A CAT"], ["a rat", "a hen"], ["a fox", "a fox"], ["an owl", "?"], ["", ""]],
        targets=[2, 0, 4, 1, 1],
    )
    ours, theirs = code([PAIRS.texts, other.texts])
    facts = overlap(PAIRS, ours, other, theirs)
    assert (facts.rows, facts.same, facts.swapped, facts.ambiguous) == (5, 3, 1, 1)
    assert facts.contradicted == 1  # the foxes: 4 here, 5 in train
    assert (facts.sharing, facts.examples) == (4, ["r0", "r1", "r2"])
    assert overlap(PAIRS, ours, replace(other, targets=None), theirs).contradicted is None


def test_rows_that_read_like_a_row_of_another_label_are_counted_by_what_a_model_reads():
    rows = table([["a", "x"], ["a", "y"], ["b", "z"], ["b", "w"]], targets=[1, 2, 3, 3])
    assert undecided(rows, rows.texts) == 0
    assert undecided(rows, rows.texts[:, :1]) == 2


def test_four_texts_a_row_are_told_apart_however_many_there_are():
    texts = [[f"text {(row * step) % 70_001}" for step in (1, 3, 7, 11)] for row in range(70_001)]
    coded = code([np.array([*texts, texts[5]], object)])[0]
    assert len(np.unique(coded.ordered)) == 70_001
    assert coded.ordered[-1] == coded.ordered[5]
