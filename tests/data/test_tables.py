"""Files to checked tables: everything that is wrong, told at once and by id."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.base.errors import DataError
from pipeline.data.labels import LEFT_OUT, encode
from pipeline.data.sample import OTHERS
from pipeline.data.table import MENDED
from pipeline.data.tables import ROW_NUMBER, Tables, load
from pipeline.problems.label_texts import canonical, is_number

REGRESSION = TaskConfig(problem="regression", metric="pearson", label_range=(0.0, 5.0))
BINARY = TaskConfig(problem="binary", metric="auc", classes=["0", "1"])
TOPICS = TaskConfig(problem="multiclass", metric="macro-f1", classes=["사회", "경제", "정치"])
LABELS = TaskConfig(problem="multilabel", metric="auc")
COMPETITION = Competition(
    name="toy",
    data=DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv"),
    columns=ColumnsConfig(id="id", texts=["text"], targets=["label"]),
    task=REGRESSION,
)
GOOD = {
    "train.csv": "id,text,label\n007,NA,0\n1e5,,2.50\nx,null,5\n",
    "test.csv": "id,text\n8,a\n9,\n",
    "sample.csv": "id,target\n9,0.0\n8,0.5\n",
}


class Folder:
    """A competition whose files can be changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.competition = COMPETITION
        for name, content in GOOD.items():
            self.write(name, content)

    def write(self, name: str, content: str) -> None:
        (self.root / name).write_text(content, encoding="utf-8")

    def load(self, part: str = "", **changes) -> Tables:
        competition = self.competition
        if part:
            changes = {part: replace(getattr(competition, part), **changes)}
        self.competition = replace(competition, **changes)
        return load(self.competition, self.root)

    def refusal(self, part: str = "", **changes) -> str:
        with pytest.raises(DataError) as caught:
            self.load(part, **changes)
        return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_ids_and_texts_stay_text_and_labels_become_numbers(folder):
    tables = folder.load()
    assert tables.train.ids.tolist() == ["007", "1e5", "x"]
    assert tables.train.texts.tolist() == [["NA"], [""], ["null"]]
    np.testing.assert_array_equal(tables.train.targets, [[0], [2.5], [5]])
    assert tables.train.targets.dtype == np.float64
    assert tables.test.targets is None
    assert tables.test.texts.tolist() == [["a"], [""]]
    assert tables.train.source == "train.csv"
    assert (tables.extra, tables.holdout, tables.notes) == (None, None, ())


def test_the_sample_keeps_its_own_order_header_and_spelling(folder):
    sample = folder.load().sample
    assert (sample.id_column, sample.columns) == ("id", ["target"])
    assert sample.ids.tolist() == ["9", "8"]
    assert sample.values.tolist() == [["0.0"], ["0.5"]]


def test_pairs_and_features_are_cut_out_by_name(folder):
    folder.write("train.csv", "b,id,g,a,label,w\nB,1,G,A,1,W\n")
    folder.write("test.csv", "g,a,b,id\nG,A,B,8\nH,C,D,9\n")
    columns = ColumnsConfig(id="id", texts=["a", "b"], targets=["label"], features=["g"])
    tables = folder.load(columns=columns, folds=FoldsConfig(group_columns=["w"]))
    assert tables.train.texts.tolist() == [["A", "B"]]
    assert tables.train.features["g"].tolist() == ["G"]
    assert tables.train.features["w"].tolist() == ["W"]
    assert list(tables.test.features) == ["g"]


def test_absolute_paths_are_taken_as_they_are(folder, tmp_path):
    tables = folder.load("data", train=str(tmp_path / "train.csv"))
    assert len(tables.train) == 3


def encoded(task: TaskConfig, *texts: str) -> list[float]:
    import pandas as pd

    frame = pd.DataFrame({"label": texts}, dtype=object)
    targets, problems, _ = encode(frame, ["label"], np.arange(len(texts)).astype(str), task)
    assert problems == []
    return targets.ravel().tolist()


def test_classes_are_numbered_in_the_order_of_the_config():
    assert encoded(TOPICS, "정치", "사회", "경제") == [2, 0, 1]
    swapped = replace(BINARY, classes=["1", "0"])
    assert encoded(swapped, "1", "0") == [0, 1]


def test_classes_that_are_numbers_match_by_value():
    assert encoded(BINARY, "1.0", "0", "1", "0.00") == [1, 0, 1, 0]
    assert encoded(replace(BINARY, classes=["1.0", "2.0"]), "2", "1") == [1, 0]


def test_classes_that_are_one_number_in_two_spellings_match_by_text():
    assert encoded(replace(BINARY, classes=["1", "01"]), "01", "1") == [1, 0]
    with pytest.raises(AssertionError, match=r"a class that is not in task\.classes: id 0"):
        encoded(replace(BINARY, classes=["1.0", "01"]), "1")


def test_labels_of_a_multilabel_problem_are_zero_or_one():
    assert encoded(LABELS, "0", "1", "0.0", "True", "false") == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("text", "number"), [("3", 3), ("-.5", -0.5), ("1e-1", 0.1), ("+2.", 2), ("4.750", 4.75)]
)
def test_numbers_are_read_as_written(text, number):
    task = TaskConfig(problem="regression", metric="rmse")
    assert encoded(task, text) == [number]


@pytest.mark.parametrize("text", ["1_000", "0x10", "nan", "inf", "1e999", "", "١", "1 2"])
def test_what_only_a_programming_language_calls_a_number_is_none(text):
    assert not is_number(text)


def test_one_text_stands_for_all_spellings_of_a_number():
    assert {canonical(text) for text in ("1", "1.0", "+1.", "1e0", "10e-1")} == {"1"}
    assert canonical("12345678901234567890123") == "12345678901234567890123"
    assert canonical("100") == "100"


def test_a_number_too_large_for_a_float_is_not_finite(folder):
    folder.write("train.csv", "id,text,label\n1,a,1e999\n")
    task = TaskConfig(problem="regression", metric="rmse")
    assert "a label that is not finite: id 1 ('1e999')" in folder.refusal(task=task)


def test_labels_that_are_none_are_named_with_their_ids(folder):
    labels = ["1", "", "nan", "inf", '"3,5"', "good", "5.1", "0"]
    rows = "".join(f"r{n},t,{label}\n" for n, label in enumerate(labels))
    folder.write("train.csv", "id,text,label\n" + rows)
    assert folder.refusal() == (
        "6 problems:\n"
        f"  - train.csv: column 'label': no label: id r1. {LEFT_OUT.format('')}\n"
        "  - train.csv: column 'label': a label that is missing: id r2 ('nan'). "
        f"{LEFT_OUT.format('nan')}\n"
        f"  - train.csv: column 'label': a label that is not finite: id r3 ('inf'). {MENDED}\n"
        "  - train.csv: column 'label': a label with a comma for the point: id r4 ('3,5'). "
        "Write them with a point\n"
        f"  - train.csv: column 'label': a label that is not a number: id r5 ('good'). {MENDED}\n"
        "  - train.csv: column 'label': a label outside task.label_range [0.0, 5.0]: id r6 ('5.1')"
        ". Mend them; or, where they are right, widen task.label_range, or set it to null"
    )


def test_unknown_classes_are_named_with_their_ids(folder):
    folder.write("train.csv", "id,text,label\n1,a,사회\n2,b,문화\n3,c,\n4,d,경제\n")
    assert folder.refusal(task=TOPICS) == (
        "2 problems:\n"
        "  - train.csv: column 'label': a class that is not in task.classes: id 2 ('문화'). Mend "
        "them; or, where they are right, name all classes (init: --classes)\n"
        f"  - train.csv: column 'label': no label: id 3. {LEFT_OUT.format('')}"
    )


def test_outer_spaces_of_labels_are_noted_and_ignored(folder):
    folder.write("train.csv", "id,text,label\n1,a, 1\n2,b,2 \n3,c,3\n")
    tables = folder.load()
    np.testing.assert_array_equal(tables.train.targets, [[1], [2], [3]])
    assert tables.notes == (
        "train.csv: column 'label': labels with outer spaces, read without: id 1, id 2",
    )


MEND = ". Name the right one in the config's section columns, or call it so in the file"


def test_missing_columns_are_named_with_the_nearest(folder):
    folder.write("train.csv", "ID,text,Label\n1,a,1\n")  # names are exact, capitals too
    folder.write("test.csv", "id,txt\n8,a\n9,b\n")
    assert folder.refusal() == (
        "3 problems:\n"
        "  - train.csv: there is no column 'label'; the nearest is 'Label'; "
        f"it has ID, text, Label{MEND}\n"
        f"  - train.csv: there is no column 'id'; the nearest is 'ID'; it has ID, text, Label{MEND}"
        "\n"
        f"  - test.csv: there is no column 'text'; the nearest is 'txt'; it has id, txt{MEND}"
    )


def test_missing_fold_columns_are_named(folder):
    message = folder.refusal(folds=FoldsConfig(stratify_by=["source"], group_columns=["author"]))
    assert "train.csv: there is no column 'source'" in message
    assert "train.csv: there is no column 'author'" in message


def test_doubled_and_empty_ids_are_named(folder):
    folder.write("train.csv", "id,text,label\n1,a,1\n1,b,2\n,c,3\n ,d,3\n2,e,1\n2,f,1\n2,g,1\n")
    assert folder.refusal() == (
        "2 problems:\n"
        "  - train.csv: rows without an id: row 3, row 4\n"
        "  - train.csv: ids that stand more than once: 1 (2 times), 2 (3 times). "
        "Mend the file: take the further rows out. Or name another column, or none: columns.id "
        '"(row number)" numbers the rows (init: --id "(row number)")'
    )


def test_ids_are_compared_as_text(folder):
    folder.write("train.csv", "id,text,label\n1,a,1\n01,b,2\n1.0,c,3\n")
    assert len(folder.load().train) == 3
    folder.write("sample.csv", "id,target\n9,0\n8.0,0\n")
    assert folder.refusal().startswith(
        "sample.csv: its ids are those of the test file but for a .0 at their end: '8.0' here is "
        "'8' there, 1 in all"
    )
    folder.write("sample.csv", "id,target\n9,0\n8.1,0\n")
    assert folder.refusal() == (
        "2 problems:\n"
        "  - sample.csv: 1 ids of the test file are not in it: 8\n"
        "  - sample.csv: 1 of its ids are not in the test file: 8.1. " + OTHERS
    )


def test_test_and_sample_must_have_the_same_ids_with_counts_and_examples(folder):
    folder.write("test.csv", "id,text\n" + "".join(f"t{n},x\n" for n in range(9)))
    folder.write("sample.csv", "id,target\nt8,0\nt8,0\nu,0\n")
    assert folder.refusal() == (
        "3 problems:\n"
        "  - sample.csv: ids that stand more than once: t8 (2 times). "
        "Mend the file: take the further rows out\n"
        "  - sample.csv: 8 ids of the test file are not in it: t0, t1, t2, t3, t4 and 3 more\n"
        "  - sample.csv: 1 of its ids are not in the test file: u. " + OTHERS
    )


def test_a_sample_without_an_answer_column_is_refused(folder):
    folder.write("sample.csv", "id\n8\n9\n")
    told = "sample.csv: there is no column beside 'id'; expected the answers: add it"
    assert folder.refusal().startswith(told)


def test_problems_of_all_files_are_told_at_once(folder):
    folder.write("train.csv", "id,text,label\n1,a,1\n2,b\n")
    folder.write("test.csv", "id,text\n8,a\n8,b\n")
    (folder.root / "sample.csv").unlink()
    message = folder.refusal()
    for part in (
        "sample.csv is not there",
        "train.csv cannot be read: rows with missing fields (the header has 3): line 3 has 2",
        "test.csv: ids that stand more than once: 8 (2 times)",
    ):
        assert part in message


def test_extra_and_holdout_files_are_joined_and_have_targets(folder):
    folder.write("a.csv", "id,text,label,more\na1,x,1,y\n")
    folder.write("b.jsonl", '{"id": "b1", "text": null, "label": 2}\n')
    folder.write("dev.csv", "id,text,label\nd1,x,3\n")
    tables = folder.load("data", extra_train=["a.csv", "b.jsonl"], holdout=["dev.csv"])
    assert tables.extra.ids.tolist() == ["a1", "b1"]
    assert tables.extra.texts.tolist() == [["x"], [""]]
    np.testing.assert_array_equal(tables.extra.targets, [[1], [2]])
    np.testing.assert_array_equal(tables.holdout.targets, [[3]])


def test_ids_doubled_over_joined_files_are_refused(folder):
    folder.write("a.csv", "id,text,label\na1,x,1\n")
    folder.write("b.csv", "id,text,label\na1,other,1\n")
    message = folder.refusal("data", holdout=["a.csv", "b.csv"])
    assert message == (
        "a.csv + b.csv: ids that stand more than once: a1 (2 times). Mend the file: take the "
        "further rows out"
    )


def test_a_row_that_is_trained_on_and_scored_is_refused(folder):
    folder.write("dev.csv", "id,text,label\n007,NA,1\nnew,x,3\n")
    assert folder.refusal("data", holdout=["dev.csv"]).startswith(
        "dev.csv: rows that stand in train.csv too (same id, same texts): 007. Take them out"
    )


def test_files_that_count_from_zero_again_are_fine(folder):
    folder.write("dev.csv", "id,text,label\n007,another text,1\nx,and another,3\n")
    folder.write("test.csv", "id,text\n007,yet another\n9,b\n")
    folder.write("sample.csv", "id,target\n007,0\n9,0\n")
    tables = folder.load("data", holdout=["dev.csv"])
    assert tables.notes == ()


def test_a_test_row_that_stands_in_train_is_noted(folder):
    folder.write("test.csv", "id,text\nx,null\n9,b\n")
    folder.write("sample.csv", "id,target\nx,0\n9,0\n")
    assert folder.load().notes == (
        "test.csv: rows that stand in train.csv with their label (same id, same texts): x",
    )


def test_the_test_file_may_call_its_ids_as_the_sample_does(folder):
    folder.write("test.csv", "test_id,text\n8,a\n9,b\n")
    folder.write("sample.csv", "test_id,target\n8,0\n9,0\n")
    tables = folder.load()
    assert tables.test.ids.tolist() == ["8", "9"]
    assert tables.sample.id_column == "test_id"


def test_without_an_id_column_rows_are_numbered_and_the_sample_names_those_of_test(folder):
    folder.write("train.csv", "text,label\na,1\nb,2\n")
    folder.write("test.csv", "text\nc\nd\n")
    columns = ColumnsConfig(id=ROW_NUMBER, texts=["text"], targets=["label"])
    tables = folder.load(columns=columns)
    assert tables.train.ids.tolist() == ["train-1", "train-2"]
    assert tables.test.ids.tolist() == ["9", "8"]
    assert tables.notes == ("test.csv: no id column: rows are those of the sample, in its order",)


@pytest.mark.parametrize(
    ("task", "columns"),
    [(REGRESSION, ["label"]), (BINARY, ["label"]), (TOPICS, ["label"]), (LABELS, ["label"])],
)
def test_a_competition_without_sample_gets_one_in_the_order_of_test(folder, task, columns):
    label = {"regression": "1", "binary": "1", "multiclass": "경제", "multilabel": "1"}
    folder.write("train.csv", f"id,text,label\n1,a,{label[task.problem]}\n")
    folder.competition = replace(folder.competition, task=task)
    tables = folder.load("data", sample_submission="")
    assert tables.sample.columns == columns
    assert tables.sample.ids.tolist() == ["8", "9"]
    assert tables.sample.made_up
    assert tables.notes == (
        "test.csv: no sample submission: the submission's header will be id,label",
    )


def test_without_a_sample_the_one_column_left_over_names_the_rows_of_test(folder):
    folder.write("train.csv", "text,label\na,1\nb,2\n")
    folder.write("test.csv", "index,text\n8,c\n9,d\n")
    folder.competition = replace(
        COMPETITION, columns=ColumnsConfig(id=ROW_NUMBER, texts=["text"], targets=["label"])
    )
    tables = folder.load("data", sample_submission="")
    assert tables.test.ids.tolist() == ["8", "9"]
    assert tables.sample.id_column == "index"


def test_several_targets_stand_side_by_side(folder):
    folder.write("train.csv", "id,text,x,label\n1,a,1,0\n2,b,4,5\n")
    columns = ColumnsConfig(id="id", texts=["text"], targets=["label", "x"])
    np.testing.assert_array_equal(folder.load(columns=columns).train.targets, [[0, 1], [5, 4]])
