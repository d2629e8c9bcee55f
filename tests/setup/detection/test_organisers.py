"""Folders as organisers really hand them out: what they are understood as, and what is asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import Competition, DataError, UsageError
from pipeline.setup.detection.choices import Overrides
from pipeline.setup.detection.detect import detect
from pipeline.setup.detection.files import role_of

Table = Mapping[str, Sequence[object]]
IDS, ASKED = range(60), range(60, 70)
TOPICS = ["market", "song", "vote"]


def texts(ids: Sequence[int], kind: str = "about the") -> list[str]:
    return [f"{kind} {TOPICS[row % 3]} again {row}" for row in ids]


TRAIN = {"id": IDS, "text": texts(IDS), "label": [row % 3 for row in IDS]}
TEST = {"id": ASKED, "text": texts(ASKED)}


def lines(table: Table) -> str:
    rows = zip(*table.values(), strict=True)
    return "\n".join(",".join(map(str, row)) for row in [tuple(table), *rows]) + "\n"


def hand_out(folder: Path, **files: Table | str) -> Path:
    """Write each file; what is not named with an ending (two underscores) is a csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".") if "__" in name else folder / f"{name}.csv"
        path.write_text(content if isinstance(content, str) else lines(content), encoding="utf-8")
    return folder


def seen(folder: Path, **flags: Any) -> Competition:
    return detect(folder, replace(Overrides(), **flags), str).competition


def asked(folder: Path, **flags: Any) -> str:
    with pytest.raises((UsageError, DataError)) as caught:
        seen(folder, **flags)
    return str(caught.value)


def labelled(values: Sequence[object], **more: Sequence[object]) -> Table:
    return {**TRAIN, "label": [values[row % len(values)] for row in IDS], **more}


def shown(*values: object, name: str = "label") -> Table:
    return {"id": ASKED, name: [values[row % len(values)] for row in ASKED]}


# Files: what their names and their ids say.


def test_labels_for_no_row_and_a_series_of_tasks_are_in_names_too():
    assert role_of(Path("unlabeledTrainData.tsv")) == ""
    assert role_of(Path("SemEval2018-T3_input_test_taskA.txt")) == "test"
    assert role_of(Path("SemEval2018-T3-dev.txt")) == "dev"


def test_a_file_of_answers_for_the_ids_of_test_is_the_sample(tmp_path):
    grades = [row % 7 / 2 for row in IDS]
    train = {"id": IDS, "text": texts(IDS), "meanGrade": grades}
    answers = {"id": ASKED, "pred": [0.935] * len(ASKED)}
    hand_out(tmp_path, train=train, test=TEST, baseline=answers)
    assert Path(seen(tmp_path).data.sample_submission).name == "baseline.csv"
    hand_out(tmp_path, baseline={"id": IDS, "pred": [0.9] * len(IDS)})  # of other rows
    assert seen(tmp_path).data.sample_submission == ""


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"data": labelled("abc", split=["train"] * 50 + ["test"] * 10)},
            "its column 'split' says which are which. Part it into two files",
        ),
        ({"train": TRAIN, "valid": TRAIN}, "predict the rows of valid.csv: --test valid.csv"),
        (
            {"train__text": "a\nb\n", "train__labels": "0\n1\n"},
            "train_labels.txt, and those beside it",
        ),
    ],
)
def test_what_lies_there_in_place_of_train_and_test_is_said(files, said, tmp_path):
    assert said in asked(hand_out(tmp_path, **files))


def test_lines_side_by_side_in_a_folder_are_no_rows(tmp_path):
    for part in ("train", "test"):
        many = "".join(f"{text}\n" for text in texts(IDS))
        hand_out(tmp_path / part, STS__input__txt=many, STS__gs__txt="1.5\n" * len(IDS))
    assert "write them side by side into train.csv" in asked(tmp_path)


def test_text_files_called_like_tables_are_no_rows_of_one(tmp_path):
    hand_out(tmp_path / "input", train__txt="a\n", test__txt="b\n")
    assert f"give {tmp_path / 'input'} instead" in asked(tmp_path)


@pytest.mark.parametrize("inside", ["open", "open/data"])
def test_the_one_folder_in_a_folder_is_looked_into(inside, tmp_path):
    hand_out(tmp_path / inside, train=TRAIN, test=TEST)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "README.md").write_text("-", encoding="utf-8")
    assert seen(tmp_path).data.train == str(tmp_path / inside / "train.csv")


def test_objects_in_files_deep_in_a_folder_are_rows(tmp_path):
    for part in ("Training", "Validation"):
        for row, text in zip(IDS, texts(IDS), strict=True):
            one = {"info": {"name": f"{part}{row}"}, "talk": text, "mood": TOPICS[row % 3]}
            hand_out(tmp_path / part / "labels", **{f"H{row}__json": json.dumps(one)})
    way = "--test 'Validation/labels/H*.json'"
    assert way in asked(tmp_path)
    test = str(Path("Validation", "labels", "H*.json"))
    assert seen(tmp_path, test=test, targets=["mood"]).columns.texts == ["talk"]


def test_a_key_that_comes_again_in_train_is_one_in_a_short_test_file_too(tmp_path):
    train, test = {**TRAIN, "prompt": [row % 5 for row in IDS]}, {**TEST, "prompt": range(5, 15)}
    prompts = {
        "prompt": range(20),
        "asked": [f"Write about the {row} at length" for row in range(20)],
    }
    hand_out(tmp_path, train=train, test=test, prompts=prompts)
    (join,) = seen(tmp_path).data.joins
    assert join.to == ["train", "test"]


# Targets: in the sample, in test, or made of others.


def test_a_sample_that_begins_with_a_target_has_no_ids(tmp_path):
    two = {"bias": ["none", "gender"] * 30, "hate": ["none", "none", "hate"] * 20}
    train = {"title": texts(IDS), "comment": texts(IDS, "what a bad"), **two}
    test = {"title": texts(ASKED), "comment": texts(ASKED, "what a bad")}
    sample = {name: ["none"] * len(ASKED) for name in two}
    hand_out(tmp_path, train=train, test=test, sample_submission=sample)
    assert seen(tmp_path).columns.targets == ["bias", "hate"]


def test_a_sample_that_repeats_the_text_asks_for_the_label_alone(tmp_path):
    hand_out(tmp_path, train=TRAIN, test=TEST, sample_submission={**TEST, "label": [0] * 10})
    found = seen(tmp_path)
    assert found.columns.targets == ["label"]
    assert found.columns.texts == ["text"]


@pytest.mark.parametrize("names", [["label"], ["genre", "score"]])
def test_a_test_file_with_labels_is_like_one_without(names, tmp_path):
    both = [
        {"id": rows, "text": texts(rows), **{name: [row % 7 / 2 for row in rows] for name in names}}
        for rows in (IDS, ASKED)
    ]
    hand_out(tmp_path, train=both[0], test=both[1])
    assert seen(tmp_path).columns.targets == names[-1:]


def test_what_is_made_of_the_judges_grades_is_the_target(tmp_path):
    grades = [1000 + 137 * row % 11 for row in IDS]
    mean = [sum(map(int, str(grade))) / 4 for grade in grades]
    train = {"id": IDS, "text": texts(IDS), "grades": grades, "meanGrade": mean}
    hand_out(tmp_path, train=train, test=TEST)
    assert seen(tmp_path).columns.targets == ["meanGrade"]


def test_places_of_characters_in_cells_are_refused_with_the_way(tmp_path):
    rows = [f"{row},{text},\"['0 5', '6 9;10 12']\"" for row, text in enumerate(texts(IDS))]
    hand_out(tmp_path, train__csv="\n".join(["id,text,location", *rows]), test=TEST)
    assert "Write them into train_spans.csv beside it" in asked(tmp_path)


def test_pairs_of_texts_to_rank_single_texts_by_are_refused_with_the_way(tmp_path):
    pairs = {
        "worker": [row % 9 for row in IDS],
        "less_rude": texts(IDS),
        "more_rude": texts(IDS, "no"),
    }
    hand_out(tmp_path, train=pairs, test=TEST, sample_submission=shown(0.5, name="score"))
    assert "a row for each text: the text, called as in test, and a number 'score'" in asked(
        tmp_path
    )


def test_a_table_that_names_the_classes_is_nothing_of_the_rows(tmp_path):
    names = {"topic": TOPICS, "label": [0, 1, 2]}
    hand_out(tmp_path, train=TRAIN, test=TEST, topic_dict=names)
    found = detect(tmp_path, Overrides(), str)
    assert found.competition.data.joins == []
    assert "topic" not in found.headers["train"]


def test_codes_with_a_name_each_are_classes(tmp_path):
    named = labelled([100, 102, 105], label_desc=[TOPICS[row % 3] for row in IDS])
    hand_out(tmp_path, train=named, test=TEST)
    found = seen(tmp_path)
    assert (found.task.problem, found.task.classes) == ("multiclass", ["100", "102", "105"])


def test_both_texts_are_read_where_each_has_a_marked_word(tmp_path):
    def columns(rows: Sequence[int]) -> dict[str, Sequence[object]]:
        ends = [len(TOPICS[row % 3]) for row in rows]
        return {
            "idx": rows,
            "sentence1": texts(rows),
            "start1": [10] * len(rows),
            "end1": [10 + end for end in ends],
            "sentence2": texts(rows, "so the"),
            "start2": [7] * len(rows),
            "end2": [7 + end for end in ends],
        }

    train = {**columns(IDS), "label": [row % 2 for row in IDS]}
    hand_out(tmp_path, train=train, test=columns(ASKED))
    assert seen(tmp_path).columns.template == ["{sentence1!marked}", "{sentence2!marked}"]


# Classes: how they are written, and which is which.


@pytest.mark.parametrize(
    ("values", "first"), [(["긍정", "부정"], "부정"), (["스팸", "정상"], "정상")]
)
def test_the_negative_class_is_known_by_more_words(values, first, tmp_path):
    hand_out(tmp_path, train=labelled(values), test=TEST, sample_submission=shown(*values))
    assert seen(tmp_path).task.classes[0] == first


def test_whole_numbers_of_a_sample_are_codes_of_two_words_and_no_probabilities(tmp_path):
    hand_out(tmp_path, train=labelled(["ham", "spam"]), test=TEST, sample_submission=shown(0))
    assert seen(tmp_path).task.metric == "f1"
    hand_out(tmp_path, sample_submission=shown(0.5))
    assert seen(tmp_path).task.metric == "auc"


def test_classes_that_differ_in_case_only_are_asked_about(tmp_path):
    hand_out(tmp_path, train=labelled(["Good", "Bad", "Good", "bad"]), test=TEST)
    assert "differ in case or spaces only: 'Bad' and 'bad'" in asked(tmp_path)
    assert seen(tmp_path, class_codes=["as-is"]).task.classes == ["Bad", "Good", "bad"]


def test_codes_that_were_given_are_those_of_classes(tmp_path):
    hand_out(tmp_path, train=labelled([-1, 0, 1]), test=TEST, sample_submission=shown(0))
    assert "--unlabelled=-1" in asked(tmp_path)
    assert seen(tmp_path, class_codes=["as-is"]).task.problem == "multiclass"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("label_map__json", json.dumps({"market": 0, "song": 1, "vote": 2})),
        ("config__json", json.dumps({"id2label": {"0": "market", "1": "song", "2": "vote"}})),
        ("labels__json", json.dumps(TOPICS)),
        ("classes__txt", "0\tmarket\n1\tsong\n2\tvote\n"),
    ],
)
def test_a_file_says_which_code_is_which_class(name, content, tmp_path):
    hand_out(tmp_path, train=TRAIN, test=TEST, sample_submission=shown(*TOPICS))
    assert seen(tmp_path).task.class_codes == []
    hand_out(tmp_path, **{name: content})
    assert seen(tmp_path).task.class_codes == TOPICS


def test_a_mark_for_no_label_is_asked_about(tmp_path):
    hand_out(tmp_path, train=labelled(["a", "b", "N/A"]), test=TEST, sample_submission=shown("a"))
    assert "--unlabelled=N/A, or --class-codes as-is" in asked(tmp_path)
    assert seen(tmp_path, unlabelled="N/A").task.classes == ["a", "b"]


def test_a_word_where_the_answer_will_be_is_no_class(tmp_path):
    hand_out(
        tmp_path, train=labelled(["ham", "spam"]), test=TEST, sample_submission=shown("answer")
    )
    assert seen(tmp_path).task.metric == "f1"


def test_codes_that_a_table_names_are_those_of_classes(tmp_path):
    names = {"code": [11, 25, 47], "name": TOPICS}
    train = {"id": IDS, "text": texts(IDS), "code": [[11, 25, 47][row % 3] for row in IDS]}
    sample = shown(11, name="code")
    hand_out(tmp_path, train=train, test=TEST, codes=names, sample_submission=sample)
    assert seen(tmp_path).task.problem == "multiclass"


def test_guesses_may_be_parted_by_commas(tmp_path):
    top = {"id": ASKED, "label": ['"vote,song"'] * len(ASKED)}
    hand_out(tmp_path, train=labelled(TOPICS), test=TEST, sample_submission=top)
    assert seen(tmp_path).task.metric == "map(2)"
    cells = ['"vote,song"', "vote", "song", '"song,market"', "market", '"vote,market"', "vote"]
    hand_out(tmp_path, train=labelled(cells))
    assert seen(tmp_path).task.problem == "multilabel"


def test_counts_in_train_against_shares_in_the_sample_are_refused_with_the_way(tmp_path):
    names = ["votes_a", "votes_b", "votes_c"]
    votes = {name: [(row * place) % 5 for row in IDS] for place, name in enumerate(names, 1)}
    shares = {name: [0.3333] * len(ASKED) for name in names}
    hand_out(tmp_path, train={"id": IDS, "text": texts(IDS), **votes}, test=TEST)
    hand_out(tmp_path, sample_submission={"id": ASKED, **shares})
    assert "Divide each row of the training file by its sum" in asked(tmp_path)


def test_labels_in_a_file_of_their_own_may_call_the_id_otherwise(tmp_path):
    names = [f"x{row}" for row in IDS]
    labels = {"doc_id": names[::-1], "label": list("abc") * 20}
    hand_out(tmp_path, train={"id": names, "text": texts(IDS)}, train_labels=labels, test=TEST)
    (join,) = seen(tmp_path).data.joins
    assert (join.key, join.file_key, join.columns) == ("id", "doc_id", ["label"])
