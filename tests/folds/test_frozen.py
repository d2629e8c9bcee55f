"""Frozen folds: what they promise, and what they refuse."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.neighbors import KNeighborsRegressor

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.base.errors import ArtifactError, DataError
from pipeline.base.paths import Paths
from pipeline.data.labels import apart
from pipeline.data.table import Table
from pipeline.folds.checks import Spread, divisions, rare_notes, spread
from pipeline.folds.frozen import frozen, new_folds, read_frozen, workable


def competition(problem="regression", classes=(), targets=("label",), **folds):
    return Competition(
        name="toy",
        data=DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv"),
        columns=ColumnsConfig(id="id", texts=["text"], targets=list(targets)),
        task=TaskConfig(problem=problem, metric="pearson", classes=list(classes)),
        folds=FoldsConfig(**{"count": 3, "groups": "exact", **folds}),
    )


def toy(n=30, targets=None, texts=None, **features):
    texts = [f"text number {row}" for row in range(n)] if texts is None else texts
    targets = np.arange(n) % 7 if targets is None else np.array(targets)
    return Table(
        ids=np.array([f"r{row:03}" for row in range(n)], dtype=object),
        texts=np.array(texts, dtype=object).reshape(n, -1),
        targets=targets.astype(float).reshape(n, -1),
        features={name: np.array(column, dtype=object) for name, column in features.items()},
        source="train.csv",
    )


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path, "toy")


def refusal(kind, *arguments):
    with pytest.raises(kind) as caught:
        frozen(*arguments)
    return str(caught.value)


def test_folds_are_a_partition_into_training_and_held_out_rows(paths):
    folds = frozen(competition(repeats=2), paths, toy())
    for repeat in range(2):
        held = np.stack([folds.valid_rows(repeat, fold) for fold in range(3)])
        np.testing.assert_array_equal(held.sum(axis=0), np.ones(30))
        assert held.any(axis=1).all()
        for fold in range(3):
            np.testing.assert_array_equal(folds.training_rows(repeat, fold), ~held[fold])
    assert (folds.fold_of_row[0] != folds.fold_of_row[1]).any()


def test_the_second_use_reads_what_the_first_one_froze(paths):
    first = frozen(competition(), paths, toy())
    bytes_before = paths.folds_csv.read_bytes(), paths.passport.read_bytes()
    second = frozen(competition(), paths, toy())
    np.testing.assert_array_equal(first.fold_of_row, second.fold_of_row)
    assert first.digest == second.digest
    assert (paths.folds_csv.read_bytes(), paths.passport.read_bytes()) == bytes_before
    assert paths.folds_csv.read_text().splitlines()[0] == "id,fold,group"


def test_the_file_has_one_fold_column_per_repeat(paths):
    frozen(competition(repeats=3), paths, toy())
    assert paths.folds_csv.read_text().splitlines()[0] == "id,fold,fold_2,fold_3,group"


def test_reordered_rows_are_accepted_and_realigned(paths):
    train = toy(texts=[f"text {row // 2}" for row in range(30)])
    first = frozen(competition(), paths, train)
    order = np.random.default_rng(0).permutation(30)
    again = frozen(competition(), paths, train.rows(order))
    np.testing.assert_array_equal(again.ids, train.ids[order])
    np.testing.assert_array_equal(again.fold_of_row, first.fold_of_row[:, order])
    groups = first.group_of_row[order]
    np.testing.assert_array_equal(
        groups[:, None] == groups, np.equal.outer(*[again.group_of_row] * 2)
    )


def test_the_order_of_the_rows_has_no_part_in_the_assignment(paths, tmp_path):
    train = toy(texts=[f"text {row // 2}" for row in range(30)])
    order = np.random.default_rng(1).permutation(30)
    first = frozen(competition(), paths, train)
    other = frozen(competition(), Paths(tmp_path / "other", "toy"), train.rows(order))
    np.testing.assert_array_equal(other.fold_of_row, first.fold_of_row[:, order])
    assert other.digest == first.digest


def test_relabelling_classes_does_not_move_folds(paths, tmp_path):
    label = np.random.default_rng(3).integers(0, 3, 30)
    one = competition("multiclass", ["a", "b", "c"])
    first = frozen(one, paths, toy(targets=label))
    second = frozen(one, Paths(tmp_path / "other", "toy"), toy(targets=2 - label))
    np.testing.assert_array_equal(first.fold_of_row, second.fold_of_row)
    assert first.digest != second.digest


def test_rows_that_share_a_sentence_share_a_fold(paths):
    train = toy(60, texts=[f"text {row % 20}" for row in range(60)])
    folds = frozen(competition(), paths, train)
    for text in range(20):
        assert len(set(folds.fold_of_row[0, text::20])) == 1


def test_grouped_folds_score_lower_than_leaking_ones_where_rows_of_a_group_repeat_an_answer(
    paths, tmp_path
):
    """As in phrase matching: an anchor stands in many rows, and its rows have like targets."""
    random = np.random.default_rng(0)
    anchors = np.repeat(random.normal(size=40), 10)
    rows = [[f"anchor{row // 10}", f"phrase{row}"] for row in range(400)]
    train = toy(400, targets=anchors + random.normal(size=400) / 10, texts=rows)
    design = CountVectorizer().fit_transform(" ".join(row) for row in train.texts)

    def score(folds):
        oof = np.empty(400)
        for fold in range(3):
            fitted, held = folds.training_rows(0, fold), folds.valid_rows(0, fold)
            learner = KNeighborsRegressor(5).fit(design[fitted], train.targets[fitted, 0])
            oof[held] = learner.predict(design[held])
        return np.corrcoef(oof, train.targets[:, 0])[0, 1]

    leaking = frozen(competition(groups="none"), Paths(tmp_path / "none", "toy"), train)
    assert score(leaking) > 0.9
    assert abs(score(frozen(competition(), paths, train))) < 0.35


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_in_every_training_part(paths, seed):
    random = np.random.default_rng(seed)
    targets = (random.random((60, 3)) < [0.5, 0.2, 0.0]).astype(int)
    targets[random.choice(60, 2, replace=False), 2] = 1
    names = ["often", "seldom", "twice"]
    folds = frozen(competition("multilabel", targets=names, seed=seed), paths, toy(60, targets))
    for fold in range(3):
        part = targets[folds.training_rows(0, fold)]
        assert (part.min(axis=0) == 0).all()
        assert (part.max(axis=0) == 1).all()


@pytest.mark.parametrize("seed", range(8))
def test_rows_without_a_label_are_in_every_training_part_however_few(paths, seed):
    """Their label sets are rare and joined with others, so strata alone would not spread them."""
    random = np.random.default_rng(seed)
    targets = np.column_stack([np.ones(24), random.integers(0, 2, (24, 4))])
    targets[:2] = [[0, 1, 1, 0, 0], [0, 0, 0, 1, 1]]
    config = competition("multilabel", targets=list("abcde"), count=2, seed=seed)
    folds = frozen(config, paths, toy(24, targets))
    assert folds.fold_of_row[0, 0] != folds.fold_of_row[0, 1]


def test_freezing_asks_once_how_the_rows_divide_into_classes(paths, monkeypatch):
    asked = []

    def counted(*given):
        asked.append(1)
        return divisions(*given)

    monkeypatch.setattr("pipeline.folds.frozen.divisions", counted)
    monkeypatch.setattr("pipeline.folds.checks.divisions", counted)
    one = competition("multiclass", ["a", "b", "c"], repeats=2)
    frozen(one, paths, toy(60, np.arange(60) % 3))
    assert asked == [1]


def test_a_class_held_out_whole_is_spread():
    label = np.array([0, 0, 0, 0, 1, 1])
    one = competition("binary", ["no", "yes"])
    classes = divisions(toy(6, label), one)
    moved = spread(np.array([0, 0, 1, 1, 2, 2]), np.arange(6), classes)
    assert len(set(moved[label == 1])) == 2
    np.testing.assert_array_equal(moved[:4], [0, 0, 1, 1])


def test_a_class_with_fewer_groups_than_folds_is_noted(paths):
    label = [0] * 14 + [1] * 14 + [2] * 2
    folds = frozen(competition("multiclass", ["a", "b", "rare"]), paths, toy(targets=label))
    assert folds.notes == (
        "class 'rare' stands in 2 groups of rows, fewer than the 3 folds: "
        "some folds hold out none of it, and a score of the class is shaky",
    )


def test_only_classes_of_several_groups_and_fewer_than_folds_are_noted():
    """A class of one group is refused, or never scored."""
    rows = np.arange(5)
    spread = [Spread(name=f"class {n}", rows=rows, groups=n) for n in (1, 2, 3, 4)]
    assert [note.split(" stands")[0] for note in rare_notes(spread, 3)] == ["class 2"]


def test_a_group_larger_than_a_fold_is_noted(paths):
    train = toy(texts=["the same"] * 20 + [f"text {row}" for row in range(10)])
    (note,) = frozen(competition(), paths, train).notes
    assert "has 20 rows (the one of r000), more than a fold should have (10)" in note
    assert note.endswith("set folds.groups to none"), "the texts are equal: exact joins them too"
    texts = [f"the same but for {row} in the end" for row in range(20)]
    train = toy(texts=texts + [letter * 12 for letter in "abcdefghij"])
    near = replace(competition(), folds=FoldsConfig(count=3, near_threshold=0.5))
    assert new_folds(near, train, paths.root).notes[0].endswith("set folds.groups to exact or none")


@pytest.mark.parametrize(
    ("config", "table", "sentence"),
    [
        (competition(count=5), toy(4), "train.csv has 4 rows, fewer than the 5 folds"),
        (competition(), toy(1), "train.csv has 1 row, fewer than the 3 folds. Get more rows"),
        (competition(), toy(targets=[2.5] * 30), "every row of train.csv has label 2.5"),
        (
            competition("binary", ["no", "yes"]),
            toy(targets=[1] * 30),
            "train.csv has no row of class 'no'",
        ),
        (
            competition("multilabel", targets=["a", "b"]),
            toy(targets=[[row % 2, 0] for row in range(30)]),
            "train.csv has no row of label 'b' = 1",
        ),
        (
            competition("multiclass", ["a", "b", "c"]),
            toy(targets=[0] * 15 + [1] * 14 + [2]),
            "class 'c' of train.csv has a single row (r029)",
        ),
        (
            competition("binary", ["no", "yes"]),
            toy(targets=[0] * 26 + [1] * 4, texts=[*map(str, range(26)), *["same"] * 4]),
            "class 'yes' of train.csv stands in a single group of rows that stay together "
            "(r026, r027, r028, …)",
        ),
        (
            competition(),
            toy(texts=["a", "b"] * 15),
            "the 30 rows of train.csv form 2 groups of rows that stay together, fewer than the 3 "
            "folds\nFolds can be made with this change: set folds.groups to none; or set "
            "folds.count to 2.",
        ),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_way_out(paths, config, table, sentence):
    assert sentence in refusal(DataError, config, paths, table)
    assert not paths.folds_csv.exists()
    assert not paths.passport.exists()


SINGLE = [0] * 15 + [1] * 14 + [2]
TOLD = re.compile(
    r"set folds\.([a-z]+) to ([a-z0-9-]+)|take ([a-z, ]+) out of folds\.group_columns"
)


def changed(folds: FoldsConfig, remedy: str) -> FoldsConfig:
    """*folds* as a person would change them who follows the *remedy*."""
    for name, value, columns in TOLD.findall(remedy):
        if columns:
            folds = replace(folds, group_columns=[])
        else:
            folds = replace(folds, **{name: int(value) if value.isdigit() else value})
    return folds


@pytest.mark.parametrize(
    ("config", "table", "remedies"),
    [
        (competition(), toy(texts=["a", "b"] * 15), 2),
        (competition(count=7), toy(texts=[f"the same but for {n % 6}" for n in range(30)]), 2),
        (competition(count=5), toy(4), 1),
        (competition("multiclass", ["a", "b", "c"]), toy(targets=SINGLE), 1),
        (competition("multiclass", ["a", "b", "c"], count=9), toy(3, targets=[0, 1, 2]), 0),
        (
            competition("multiclass", ["a", "b", "c"]),
            toy(targets=SINGLE, texts=["a", "b", *["a"] * 27, "c"]),
            1,
        ),
        (
            competition("binary", ["no", "yes"]),
            toy(targets=[0] * 26 + [1] * 4, texts=[*map(str, range(26)), *["same"] * 4]),
            1,
        ),
        (competition("binary", ["no", "yes"]), toy(targets=[0] * 29 + [1]), 0),
        (competition(), toy(targets=[2.5] * 30), 0),
        (competition(group_columns=["author"]), toy(author=["ann", "ben"] * 15), 2),
        (competition(group_columns=["author"], groups="none"), toy(author=["ann"] * 30), 1),
    ],
)
def test_every_change_that_a_refusal_names_makes_folds(paths, config, table, remedies):
    message = refusal(DataError, config, paths, table)
    said = message.partition("with this change: ")[2]
    found = said.split("; or ") if said else []
    assert len(found) == remedies, message
    for remedy in found:
        after = replace(config, folds=changed(config.folds, remedy))
        assert after.folds != config.folds, remedy
        rows = apart(table, None, after)[0]
        assert len(new_folds(after, rows, paths.root).group_of_row) == len(rows)


def test_init_takes_folds_that_can_be_made():
    glued = toy(texts=["a", "b"] * 15)
    after, why = workable(competition(), glued)
    assert after.folds.count == 2, "two groups of 15 rows fill two folds"
    assert "form 2 groups of rows that stay together, fewer than the 3 folds" in why
    after, why = workable(competition(), toy(texts=["a"] * 29 + ["b"]))
    assert (after.folds.count, after.folds.groups) == (3, "none"), "a fold of a row is none"
    assert workable(competition(), toy()) == (competition(), "")
    with pytest.raises(DataError, match="there is nothing to learn"):
        workable(competition(), toy(targets=[2.5] * 30))


def test_a_flipped_fold_is_refused_naming_its_row(paths):
    frozen(competition(), paths, toy())
    lines = paths.folds_csv.read_text().splitlines()
    row_id, fold, group = lines[8].split(",")
    lines[8] = f"{row_id},{(int(fold) + 1) % 3},{group}"
    paths.folds_csv.write_text("\n".join(lines) + "\n")
    message = refusal(ArtifactError, competition(), paths, toy())
    assert f"the folds or groups of 1 rows have been edited by hand: {row_id}\n" in message
    assert "delete toy.csv and toy.json to freeze new folds" in message


def test_a_changed_label_is_refused_naming_its_row(paths):
    train = toy()
    frozen(competition(), paths, train)
    changed = train.targets.copy()
    changed[4] += 0.1
    message = refusal(ArtifactError, competition(), paths, replace(train, targets=changed))
    assert "the targets of 1 rows have changed since the folds were frozen: r004\n" in message
    assert "texts of" not in message


def test_a_changed_text_is_refused_naming_its_row_but_a_change_of_case_is_not(paths):
    train = toy()
    frozen(competition(), paths, train)
    texts = train.texts.copy()
    texts[7] = "TEXT  number 7."
    frozen(competition(), paths, replace(train, texts=texts))
    texts[7] = "text number eight"
    message = refusal(ArtifactError, competition(), paths, replace(train, texts=texts))
    assert "the texts of 1 rows have changed since the folds were frozen: r007\n" in message


def test_added_and_removed_rows_are_refused_by_id(paths):
    frozen(competition(), paths, toy(30))
    assert "1 rows of train.csv have no fold in" in refusal(
        ArtifactError, competition(), paths, toy(31)
    )
    message = refusal(ArtifactError, competition(), paths, toy(28))
    assert "2 ids of" in message
    assert "are not in train.csv: r028, r029" in message


def test_a_changed_setting_is_refused_with_both_values(paths):
    frozen(competition(), paths, toy())
    message = refusal(ArtifactError, competition(count=4, seed=1), paths, toy())
    assert "folds.count was 3 when the folds were frozen, the config now has 4" in message
    assert "folds.seed was 42 when the folds were frozen, the config now has 1" in message


@pytest.mark.parametrize("missing", ["folds_csv", "passport"])
def test_one_file_without_the_other_is_refused_or_completed(paths, missing):
    frozen(competition(), paths, toy())
    before = paths.folds_csv.read_bytes(), paths.passport.read_bytes()
    getattr(paths, missing).unlink()
    if missing == "folds_csv":
        assert "toy.csv is missing" in refusal(ArtifactError, competition(), paths, toy())
    else:  # as a kill between the two writes leaves it
        frozen(competition(), paths, toy())
        assert (paths.folds_csv.read_bytes(), paths.passport.read_bytes()) == before


def test_a_fold_file_of_unknown_origin_is_not_overwritten(paths):
    paths.folds_csv.parent.mkdir()
    paths.folds_csv.write_text("id,fold\nr000,0\n")
    assert "has no passport (toy.json)" in refusal(ArtifactError, competition(), paths, toy())
    assert paths.folds_csv.read_text() == "id,fold\nr000,0\n"


def test_folds_that_are_not_frozen_cannot_be_read(paths):
    with pytest.raises(ArtifactError, match=r"Freeze them with python -m pipeline\.folds"):
        read_frozen(competition(), paths, toy())


def write_own(path, rows, header=("id", "fold")):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def test_a_fold_file_of_ones_own_is_taken_whatever_its_order(paths, tmp_path):
    rows = [(f"r{row:03}", row % 3) for row in range(30)]
    write_own(tmp_path / "own.csv", rows[::-1])
    folds = frozen(competition(file="own.csv"), paths, toy())
    np.testing.assert_array_equal(folds.fold_of_row[0], np.arange(30) % 3)
    write_own(tmp_path / "own.csv", [(row_id, 2 - fold) for row_id, fold in rows])
    message = refusal(ArtifactError, competition(file="own.csv"), paths, toy())
    assert "own.csv has other folds than when it was frozen" in message
    (tmp_path / "own.csv").unlink()
    np.testing.assert_array_equal(
        frozen(competition(file="own.csv"), paths, toy()).fold_of_row, folds.fold_of_row
    )


GOOD = [(f"r{row:03}", row % 3) for row in range(30)]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (GOOD[:-1], "1 rows of train.csv have no fold in"),
        ([*GOOD, ("r777", 0)], "are not in train.csv: r777"),
        ([*GOOD, ("r003", 1)], "names 1 ids more than once: r003"),
        ([(i, f % 2) for i, f in GOOD], "there are the folds 0, 1, expected 0 to 2"),
        ([(i, f + 1) for i, f in GOOD], "Folds are numbered from 0: subtract 1 from each"),
        ([(i, f"{f}.0") for i, f in GOOD], "has '0.0' as fold in row 2; expected a whole number"),
        ([(i, "") for i, f in GOOD], "has '' as fold in row 2"),
        ([(i,) for i, f in GOOD], "has 2 columns, but row 2 has 1 fields"),
    ],
)
def test_a_fold_file_of_ones_own_is_checked_alike(paths, tmp_path, rows, sentence):
    write_own(tmp_path / "own.csv", rows)
    assert sentence in refusal(DataError, competition(file="own.csv"), paths, toy())
    assert not paths.folds_csv.exists()


def test_own_folds_that_cut_a_group_are_refused_naming_two_of_its_rows(paths, tmp_path):
    write_own(tmp_path / "own.csv", GOOD)
    train = toy(texts=["same", "other", "same", *map(str, range(27))])
    message = refusal(DataError, competition(file="own.csv"), paths, train)
    assert "r000 (fold 0) with r002 (fold 2)" in message
    assert "more groups" not in message
    train = toy(texts=[*"abcd" * 3, *map(str, range(18))])
    message = refusal(DataError, competition(file="own.csv"), paths, train)
    assert message.count(") with ") == 3
    assert " and 1 more groups. " in message


def test_a_missing_fold_file_or_column_is_named(paths, tmp_path):
    message = refusal(DataError, competition(file="own.csv"), paths, toy())
    assert "own.csv is missing" in message
    (tmp_path / "own.csv").write_text("id\nr000\n")
    assert "has no column 'fold'" in refusal(DataError, competition(file="own.csv"), paths, toy())
    write_own(tmp_path / "own.csv", GOOD, header=("id", "kfold"))
    message = refusal(DataError, competition(file="own.csv"), paths, toy())
    assert "has no column 'fold'; its header is id,kfold, expected id,fold" in message


def test_own_folds_may_cut_groups_where_the_config_says_so(paths, tmp_path):
    write_own(tmp_path / "own.csv", GOOD)
    train = toy(texts=["a"] * 30)
    folds = frozen(competition(file="own.csv", groups="none"), paths, train)
    own = dict(GOOD)
    expected = [int(own[row_id]) for row_id in train.ids]
    np.testing.assert_array_equal(folds.fold_of_row[0], expected)


def test_own_folds_that_hide_a_class_from_a_learner_are_refused(paths, tmp_path):
    write_own(tmp_path / "own.csv", GOOD)
    label = [0 if row % 3 else 1 for row in range(30)]
    config = competition("binary", ["no", "yes"], file="own.csv")
    assert "fold 0 holds out every row of class 'yes'" in refusal(
        DataError, config, paths, toy(targets=label)
    )


def test_extra_rows_are_used_only_where_they_touch_no_held_out_row(paths):
    train = toy(texts=[f"text number {row}" for row in range(30)])
    extra = Table(
        ids=np.array(["x0", "x1", "x2"], dtype=object),
        texts=np.array([["Text number 4"], ["quite new"], ["text number 9."]], dtype=object),
        targets=np.zeros((3, 1)),
    )
    alone = frozen(competition(), paths, train)
    folds = frozen(competition(), paths, train, extra)
    np.testing.assert_array_equal(alone.fold_of_row, folds.fold_of_row)
    assert alone.extra_rows(0, 0) is None
    for fold in range(3):
        fold_of = folds.fold_of_row[0]
        expected = [fold_of[4] != fold, True, fold_of[9] != fold]
        np.testing.assert_array_equal(folds.extra_rows(0, fold), expected)


def test_an_extra_row_between_two_groups_counts_for_both_and_so_does_its_own_copy(paths):
    train = toy(8, texts=[[f"left {row}", f"right {row}"] for row in range(8)])
    pair = replace(competition(), columns=replace(competition().columns, texts=["a", "b"]))
    extra = Table(
        ids=np.array(["x0", "x1"], dtype=object),
        texts=np.array([["left 1", "right 2"], ["left 1", "new"]], dtype=object),
        targets=np.zeros((2, 1)),
    )
    folds = frozen(pair, paths, train, extra)
    for fold in range(3):
        touched = fold in (folds.fold_of_row[0, 1], folds.fold_of_row[0, 2])
        np.testing.assert_array_equal(folds.extra_rows(0, fold), [not touched] * 2)


def test_group_columns_hold_for_train_and_extra_rows(paths):
    author = [f"author {row % 5}" for row in range(30)]
    train = toy(author=author)
    extra = Table(
        ids=np.array(["x0", "x1"], dtype=object),
        texts=np.array([["one"], ["two"]], dtype=object),
        targets=np.zeros((2, 1)),
        features={"author": np.array(["author 3", ""], dtype=object)},
    )
    folds = frozen(competition(group_columns=["author"]), paths, train, extra)
    assert len(set(folds.fold_of_row[0, 3::5])) == 1
    fold = int(folds.fold_of_row[0, 3])
    np.testing.assert_array_equal(folds.extra_rows(0, fold), [False, True])
