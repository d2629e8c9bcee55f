import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, TaskConfig
from pipeline.data.table import Table
from pipeline.data.tables import Tables, made_up
from pipeline.report.init import show
from pipeline.report.page import writable
from pipeline.setup.inspection.duplicates import Groups
from pipeline.setup.inspection.inspect import look
from pipeline.setup.inspection.row_properties import Alone

WORDS = ["sun", "rain", "tree", "house", "river", "stone", "bread", "cloud", "horse", "light"]
HEADERS = {"train": ["id", "text", "label"], "test": ["id", "text"]}


def table(n, targets=None, features=None, sides=1, first=0):
    rng = np.random.default_rng([n, sides, first])
    texts = [" ".join(rng.choice(WORDS, 9)) for _ in range(n * sides)]
    return Table(
        ids=np.array([f"r{first + place}" for place in range(n)], dtype=object),
        texts=np.array(texts, dtype=object).reshape(n, sides),
        targets=None if targets is None else np.array(targets, float).reshape(n, -1),
        features={name: np.array(column, object) for name, column in (features or {}).items()},
        source="file.csv",
    )


def seen(tmp_path, targets, problem, classes=(), names=("label",), holdout=None, **more):
    n = len(targets)
    train, test = table(n, targets, **more), table(n, first=n, **more)
    columns = ["text", "other"][: train.texts.shape[1]]
    toy = Competition(
        name="toy",
        data=DataConfig(train="a.csv", test="b.csv", sample_submission="c.csv"),
        columns=ColumnsConfig(id="id", texts=columns, targets=list(names)),
        task=TaskConfig(problem=problem, metric="accuracy", classes=list(classes)),
    )
    held = None if holdout is None else table(len(holdout), holdout, first=2 * n, **more)
    sample = made_up(toy.columns.targets, "id", test.ids)
    tables = Tables(train=train, test=test, extra=None, holdout=held, sample=sample)
    return look(toy, tables, tmp_path, HEADERS)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    labels = np.random.default_rng(0).integers(0, 2, 100)
    return seen(tmp_path_factory.mktemp("root"), labels, "binary", ["no", "yes"])


def printed(inspection, encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    show(inspection, stream)
    stream.flush()
    return raw.getvalue().decode(encoding)


def flowing(inspection):
    """What is printed, as one line."""
    return " ".join(printed(inspection).split())


def test_a_healthy_competition_prints_short_and_without_a_warning(healthy, monkeypatch):
    text = printed(healthy)
    assert len(text.splitlines()) < 35
    assert "no text occurs twice and none has a near copy: every row stands alone" in text
    assert "none of test, not one sentence" in text
    assert "→ they are alike: cross-validation should tell the leaderboard score" in text
    assert "  ! " not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_columns_that_do_not_tell_rows_apart_are_warned_of(healthy):
    assert "tell them apart" not in flowing(replace(healthy, undecided=5))
    assert (
        "6 rows (6.0 %) read like another row with another label: what a model reads does not "
        "tell them apart"
    ) in flowing(replace(healthy, undecided=6))


def test_test_rows_that_stand_in_train_are_not_told_by_cross_validation(healthy):
    copied = replace(healthy.overlap["test"], same=6)
    text = flowing(replace(healthy, overlap={"test": copied}))
    assert "6.0 % of the test rows stand in train, and folds keep such rows apart: expect a" in text
    assert "cross-validation should tell" not in text


def test_the_page_names_every_figure_a_reader_looks_for(healthy):
    text = flowing(healthy)
    yes = healthy.spread.counts["train"][1]
    assert "toy: rows of train 100, test 100" in text
    assert f"yes {yes} {yes} % █" in text
    assert "text characters" in text
    assert "words 9 9 9 9 9 9 9 9" in text
    assert "an input of 128 tokens holds every row" in text
    for word in (
        "told apart with AUC 0.",
        "free disk",
        "weights of 5 folds 2.2 GB for a base",
        "core",
    ):
        assert word in text


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "latin-1"])
def test_any_encoding_can_be_written_to(healthy, encoding):
    spread = replace(healthy.spread, names=["아니오", "예"])
    text = printed(replace(healthy, spread=spread), encoding)
    assert ("아니오" in text) == (encoding == "cp949")
    assert "→" in text or "-> " in text
    assert "#####" in text or "█████" in text


def test_text_that_fits_is_left_alone():
    assert writable("é → █", "utf-8") == "é → █"
    assert writable("é → …", "latin-1") == "é -> ~"


def test_what_users_wrote_is_neither_markup_nor_a_control_sequence(healthy):
    spread = replace(healthy.spread, names=["[bold red]no[/]", "\x1b[31myes\r\n"])
    text = printed(replace(healthy, spread=spread, name="toy :smile: [link]"))
    assert "[bold red]no[/]" in text
    assert "?[31myes??" in text
    assert ":smile: [link]" in text
    assert "\x1b" not in text


def test_columns_stay_straight_beside_wide_letters(healthy):
    text = printed(replace(healthy, spread=replace(healthy.spread, names=["아니오", "yes"])))
    bars = [line for line in text.splitlines() if "█" in line]
    assert len({cell_len(line[: line.index("█")]) for line in bars}) == 1


@pytest.mark.parametrize(("columns", "width"), [(None, 100), ("60", 60)])
def test_no_line_is_wider_than_the_page(healthy, columns, width, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    further = replace(healthy.columns, only_train=["a column of a long name"] * 9)
    wide = replace(healthy, metric="some_module:some_function " * 9, columns=further)
    lines = printed(wide).splitlines()
    assert 0.9 * width < max(cell_len(line) for line in lines) <= width
    assert all(line == line.rstrip() for line in lines)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_terminal_gets_bold_titles_and_no_color_is_honoured(healthy, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    colourful, plain = Terminal(), Terminal()
    show(healthy, colourful)
    assert "\x1b[1m" in colourful.getvalue()
    assert "\x1b[36m" in colourful.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    show(healthy, plain)
    assert "\x1b[36m" not in plain.getvalue()


def test_a_group_too_large_for_equal_folds_is_warned_about_with_the_remedy(healthy):
    exact = Groups(how="exact", rows=100, sampled=False, count=90, largest=5, in_company=15)
    near = replace(exact, how="near", largest=34, in_company=44)
    text = flowing(replace(healthy, groups=[exact, near]))
    assert (
        "! the largest group holds 34 % of the rows: 5 folds cannot be equal; folds.groups: exact "
        "makes them equal, or a higher folds.near_threshold may"
    ) in text
    assert "ours keep groups whole" in text
    text = flowing(replace(healthy, groups=[replace(exact, largest=34), near]))
    assert "5 folds cannot be equal; folds.groups: none cuts it, for a score that flatters" in text
    text = flowing(replace(healthy, groups=[replace(near, largest=100, count=1)] * 2))
    assert "! the largest group holds 100 % of the rows: 5 folds cannot be made;" in text


def test_a_sample_that_tears_the_largest_group_is_not_believed(healthy):
    exact = Groups(how="exact", rows=100, sampled=False, count=40, largest=52, in_company=60)
    near = Groups(how="near", rows=50, sampled=True, count=45, largest=2, in_company=6)
    text = flowing(replace(healthy, groups=[exact, near]))
    assert "largest that of equal texts or larger, which the sample tears apart" in text
    assert "! the largest group holds 52 % of the rows: 5 folds cannot be equal" in text
    assert "folds.groups: none cuts it" in text


def test_rows_that_can_be_looked_up_and_contradictions_are_told(healthy):
    overlap = replace(healthy.overlap["test"], same=3, sharing=3, ambiguous=1, examples=["t1"])
    copies = replace(
        healthy.copies, repeated=2, repeated_rows=5, conflicting=1, conflict_examples=[["r1", "r2"]]
    )
    text = flowing(replace(healthy, overlap={"test": overlap}, copies=copies))
    assert (
        "3 test rows (3.0 %) can be looked up in train, 1 of them under several labels (first t1)"
    ) in text
    assert "rows that occur again 2 texts in 5 rows" in text
    assert "! 1 text with different labels in train (r1, r2)" in text


def test_a_holdout_that_contradicts_train_is_counted(healthy):
    test = healthy.overlap["test"]
    holdout = replace(test, rows=50, same=4, sharing=4, contradicted=2)
    text = flowing(replace(healthy, overlap={"test": test, "holdout": holdout}))
    assert "same texts another label test 0 holdout 4 2" in text
    assert "→ the holdout's score will flatter: it shares texts with train" in text


def told(name, kind, score, suspicious=False):
    return Alone(
        name=name,
        kind=kind,
        measure="AUC",
        score=score,
        chance=0.5,
        notable=score > 0.55,
        suspicious=suspicious,
    )


def test_what_predicts_alone_is_listed_and_marked_where_it_leaks(healthy):
    alone = [
        told("copy", "column", 0.99, suspicious=True),
        told("source", "column", 0.81),
        told("row order", "order", 0.7, suspicious=True),
        told("words", "text", 0.5),
    ]
    text = flowing(replace(healthy, alone=alone))
    assert "! copy AUC 0.99 (chance 0.50) source AUC 0.81 (chance 0.50) ! row order" in text
    assert "nothing words" in text
    assert "! copy is nearly the answer itself: made from the label?" in text
    assert "! row order tells the label: the file is sorted, or its ids leak" in text
    assert "source alone tells much: a model is worth what it adds; give every fold" in text
    text = flowing(replace(healthy, alone=alone, stratified=["source"]))
    assert "give every fold" not in text


@pytest.mark.parametrize(
    ("auc", "verdict"),
    [(0.54, "they are alike:"), (0.55, "somewhat different:"), (0.71, "they are not alike:")],
)
def test_the_verdict_goes_by_the_auc(healthy, auc, verdict):
    assert verdict in flowing(replace(healthy, alike=replace(healthy.alike, auc=auc)))


def test_too_few_rows_and_too_little_disk_are_said(healthy):
    machine = replace(healthy.machine, free={"--root": 3_000_000_000})
    text = flowing(replace(healthy, alike=None, machine=machine))
    assert "too few rows to tell whether train and test are alike" in text
    assert "! too little disk to keep the weights of a large transformer" in text


def test_a_class_with_fewer_rows_than_folds_is_warned_about(tmp_path):
    labels = [0] * 60 + [1] * 57 + [2] * 3
    text = flowing(seen(tmp_path, labels, "multiclass", ["a", "b", "seldom"]))
    assert "! seldom has 3 rows, fewer than the 5 folds: some held-out parts will lack it" in text


def test_several_numbers_are_shown_with_their_correlations(tmp_path):
    rng = np.random.default_rng(0)
    first = rng.random(60)
    text = flowing(
        seen(tmp_path, np.column_stack([first, -first]), "regression", names=["flow", "style"])
    )
    assert "Target: 2 numbers and their correlations" in text
    assert "1.00 -1.00" in text


def test_labels_are_shown_with_their_sets(tmp_path):
    targets = np.column_stack([np.arange(60) % 2, np.zeros(60)])
    targets[:2, 1] = 1
    text = flowing(seen(tmp_path, targets, "multilabel", names=["rude", "threat"]))
    assert "Target: 2 labels, 4 sets of them, 48 % of the rows without any" in text
    assert "! threat has 2 rows, fewer than the 5 folds" in text


def test_many_classes_are_cut_with_what_is_left_out(tmp_path):
    labels = np.repeat(np.arange(30), 5 + (np.arange(30) < 20))
    text = flowing(seen(tmp_path, labels, "multiclass", [f"c{number}" for number in range(30)]))
    assert "Target: 30 classes" in text
    assert "26 more with 6 rows down to 5" in text
    few = flowing(seen(tmp_path, labels % 20, "multiclass", [f"c{number}" for number in range(20)]))
    assert "8 more with" in few


def test_three_hundred_classes_fit_on_a_screen(tmp_path):
    labels = np.arange(1200) % 300
    text = printed(seen(tmp_path, labels, "multiclass", [f"c{number}" for number in range(300)]))
    assert len(text.splitlines()) <= 26, "with the choices of init above it: a screen"
    assert "296 more with 4 rows each; rare, under 2 % of the rows: 300 of 300\n" in text
    assert "Rows of other files that are in train → none of test, not one sentence\n" in text
    assert "every row stands alone\nRows of other files" in text


def test_a_holdout_spread_differently_is_told_and_shown_beside(tmp_path):
    rng = np.random.default_rng(0)
    text = flowing(
        seen(
            tmp_path,
            np.linspace(0, 6, 200),
            "regression",
            holdout=rng.random(100),
            sides=2,
        )
    )
    assert "Target label: 0 to 6, mean 3.00, sd 1.74, 200 different values" in text
    assert "train holdout" in text
    assert "the holdout's labels are spread differently (" in text


def test_columns_and_values_of_one_file_are_named(tmp_path, healthy):
    kinds = {"kind": ["a", "b"] * 30}
    labels = np.random.default_rng(0).random(60)
    found = seen(tmp_path, labels, "regression", features=kinds)
    values = replace(found.columns.values[0], only_test={"new": 7}, only_test_rows=7)
    found = replace(
        found, columns=replace(found.columns, values=[values], only_train=["votes", "[b]"])
    )
    text = flowing(found)
    assert "kind only in test new (7)" in text
    assert "→ only train has votes, [b]: no help in predicting test" in text
    values = replace(values, test_values=500)
    assert "kind only in test 12 % of its rows" in flowing(
        replace(found, columns=replace(found.columns, values=[values]))
    )


def test_what_is_shown_is_what_is_kept_as_json(healthy):
    kept = json.loads(json.dumps(healthy.as_dict()))
    assert kept["spread"]["counts"]["train"] == healthy.spread.counts["train"]
    assert f"told apart with AUC {kept['alike']['auc']:.2f}" in printed(healthy)
