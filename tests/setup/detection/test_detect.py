"""What detection says about little competitions of many kinds."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.base.config import Competition
from pipeline.base.errors import DataError, UsageError
from pipeline.base.parser import read_section
from pipeline.data.tables import ROW_NUMBER, load
from pipeline.setup.config_file import render
from pipeline.setup.detection.columns import pairs_of
from pipeline.setup.detection.detect import Detected, Overrides, detect
from pipeline.setup.detection.files import role_of
from pipeline.setup.detection.names import target_rank
from tests.setup import competitions as kinds


def look(folder: Path, **overrides) -> Detected:
    return detect(folder, Overrides(**overrides), lambda path: path.name)


def seen(folder: Path, **overrides) -> Competition:
    return look(folder, **overrides).competition


# id, texts, targets, problem, metric, classes, label range
EXPECTED = {
    kinds.disaster: ("id", ["text"], ["target"], "binary", "f1", ["0", "1"], None),
    kinds.toxic: ("id", ["comment_text"], kinds.TOXIC, "multilabel", "auc", [], None),
    kinds.essay_grades: (
        ("essay_id", ["full_text"], ["score"], "regression", "qwk", [], (1.0, 6.0))
    ),
    kinds.several_numbers: (
        ("text_id", ["full_text"], kinds.ASPECTS, "regression", "mcrmse", [], (1.0, 5.0))
    ),
    kinds.entailment_words: (
        "index",
        ["premise", "hypothesis"],
        ["label"],
        "multiclass",
        "macro-f1",
        ["contradiction", "entailment", "neutral"],
        None,
    ),
    kinds.nli_numbers: (
        "id",
        ["premise", "hypothesis"],
        ["label"],
        "multiclass",
        "macro-f1",
        ["0", "1", "2"],
        None,
    ),
    kinds.question_pairs: (
        "id",
        ["question1", "question2"],
        ["is_duplicate"],
        "binary",
        "auc",
        ["0", "1"],
        None,
    ),
    kinds.code_similarity: (
        "pair_id",
        ["code1_path", "code2_path"],
        ["similar"],
        "binary",
        "f1",
        ["0", "1"],
        None,
    ),
    kinds.topic_words: (
        "guid",
        ["title"],
        ["topic"],
        "multiclass",
        "macro-f1",
        ["경제", "사회", "스포츠", "정치"],
        None,
    ),
    kinds.sentiment_tsv: ((ROW_NUMBER, ["sentence"], ["label"], "binary", "auc", ["0", "1"], None)),
    kinds.reviews_jsonl: (
        ("review_id", ["title", "body"], ["stars"], "regression", "rmse", [], (1.0, 5.0))
    ),
    kinds.spam_parquet: ("id", ["sms"], ["spam"], "binary", "auc", ["false", "true"], None),
    kinds.column_per_class: (
        ("id", ["text"], ["author"], "multiclass", "log-loss", ["EAP", "HPL", "MWS"], None)
    ),
    kinds.similarity: (
        ("id", ["sentence_1", "sentence_2"], ["label"], "regression", "pearson", [], (0.0, 5.0))
    ),
}


def test_every_kind_has_its_answer():
    assert list(EXPECTED) == kinds.ALL


@pytest.mark.parametrize("make", kinds.ALL, ids=lambda make: make.__name__)
def test_each_kind_of_competition_is_understood_without_a_flag(make, tmp_path):
    found = seen(make(tmp_path / make.__name__))
    assert found.name == make.__name__
    columns, task = found.columns, found.task
    assert (
        columns.id,
        columns.texts,
        columns.targets,
        task.problem,
        task.metric,
        task.classes,
        task.label_range,
    ) == EXPECTED[make]


@pytest.mark.parametrize("make", kinds.ALL, ids=lambda make: make.__name__)
def test_its_config_reads_back_as_the_same_competition_and_its_files_load(make, tmp_path):
    found = look(make(tmp_path))
    config = tmp_path / "config.yaml"
    config.write_text(render(found.competition, found.reasons, ["auc"]), encoding="utf-8")
    competition = read_section(Competition, config)
    assert competition == found.competition
    tables = load(competition, tmp_path)
    assert len(tables.test) == len(tables.sample.ids) == kinds.M
    assert sorted(tables.test.ids) == sorted(tables.sample.ids)


def test_further_columns_are_features_and_no_texts(tmp_path):
    assert seen(kinds.disaster(tmp_path / "a")).columns.features == ["keyword", "location"]
    assert seen(kinds.nli_numbers(tmp_path / "b")).columns.features == ["lang_abv", "language"]


def test_a_name_can_say_that_sentences_are_no_text(tmp_path):
    kinds.disaster(tmp_path)
    for name in ("train.csv", "test.csv"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace(",text", ",words", 1))
    assert seen(tmp_path).columns.texts == ["words"]


def test_a_dev_file_with_labels_is_the_holdout_and_its_labels_widen_the_range(tmp_path):
    kinds.similarity(tmp_path)
    dev = tmp_path / "dev.csv"
    lines = dev.read_text().splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:4], "10", "1.0"])
    dev.write_text("\n".join(lines) + "\n")
    found = seen(tmp_path)
    assert found.data.holdout == ["dev.csv"]
    assert found.task.label_range == (0.0, 10.0)


def test_a_dev_file_without_labels_is_not_used_and_this_is_said(tmp_path):
    kinds.disaster(tmp_path)
    (tmp_path / "valid.csv").write_text("id,text\n1,abc\n")
    found = look(tmp_path)
    assert found.competition.data.holdout == []
    assert found.reasons["data.holdout"] == "valid.csv lacks target, so it is not used."


def test_further_labelled_files_are_mentioned_but_not_used(tmp_path):
    kinds.disaster(tmp_path)
    (tmp_path / "external.csv").write_text("id,text,target\n9,abc,1\n")
    (tmp_path / "slang.csv").write_text("word,meaning\nlol,laughing\n")
    found = look(tmp_path)
    assert found.competition.data.extra_train == []
    assert found.reasons["data.extra_train"] == "Labelled too, but not used: external.csv."
    assert "slang.csv" in found.reasons["data.train"]
    assert seen(tmp_path, extra=["external.csv"]).data.extra_train == ["external.csv"]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("train.csv", "train"),
        ("ratings_train.tsv", "train"),
        ("TrainingData.csv", "train"),
        ("train_dev.csv", "train"),
        ("test.csv", "test"),
        ("test_set.jsonl", "test"),
        ("latest.csv", ""),
        ("sample_submission.csv", "sample"),
        ("sampleSubmission.csv", "sample"),
        ("sample_sub.csv", "sample"),
        ("submission_format.csv", "sample"),
        ("gender_submission.csv", "sample"),
        ("dev.csv", "dev"),
        ("validation.parquet", "dev"),
        ("dev_matched.tsv", "dev"),
        ("devices.csv", ""),
    ],
)
def test_the_words_of_a_file_name_tell_its_role(name, role):
    assert role_of(Path(name)) == role


def test_a_plain_name_wins_over_a_longer_one(tmp_path):
    kinds.disaster(tmp_path)
    (tmp_path / "test_labels.csv").write_text("id,target\n1,1\n")
    found = look(tmp_path)
    assert found.competition.data.test == "test.csv"
    assert found.reasons["data.test"] == "By its name, rather than test_labels.csv."


def test_all_files_that_are_not_clear_are_asked_for_at_once(tmp_path):
    (tmp_path / "train_a.csv").write_text("a\n")
    (tmp_path / "train_b.csv").write_text("a\n")
    with pytest.raises(UsageError) as caught:
        look(tmp_path)
    text = str(caught.value)
    assert "--train FILE: 2 files could be it (candidates: 'train_a.csv', 'train_b.csv')" in text
    assert "--test FILE: no file of" in text


def test_all_columns_that_are_not_clear_are_asked_for_at_once(tmp_path):
    make = kinds.Maker("unclear")
    texts = {name: make.of(kinds.WORDS, kinds.N) for name in ("ham", "jam", "spam")}
    kinds.handed_out(
        tmp_path,
        {"id": range(kinds.N), **texts, "foo": make.of([0.1, 0.2, 0.5], kinds.N)}
        | {"bar": make.of([0.3, 0.7, 0.9], kinds.N)},
        {"id": range(kinds.M), **{name: make.of(kinds.WORDS, kinds.M) for name in texts}},
        {"id": range(kinds.M), "answer": [0.5] * kinds.M},
    )
    with pytest.raises(UsageError) as caught:
        look(tmp_path)
    assert str(caught.value) == (
        "init cannot decide this; say it with a flag:\n"
        "  - --target COLUMN: several columns are in train only (candidates: 'foo', 'bar')\n"
        "  - --text COLUMN (twice for pairs): no column of train and test is clearly a text "
        "(candidates: 'ham', 'jam', 'spam')"
    )
    found = seen(tmp_path, targets=["foo"], texts=["jam"])
    assert found.columns.features == ["ham", "spam"]


def test_a_flag_that_names_no_column_is_answered_with_the_nearest(tmp_path):
    kinds.disaster(tmp_path)
    with pytest.raises(UsageError, match="no column 'targett'; did you mean 'target'"):
        look(tmp_path, targets=["targett"])
    with pytest.raises(UsageError, match="no column 'idd'; did you mean 'id'"):
        look(tmp_path, id="idd")


def graded(folder: Path, column: str, values: list, answer: object, name: str = "") -> Path:
    make = kinds.Maker("graded")
    return kinds.handed_out(
        folder,
        {
            "id": range(kinds.N),
            "text": make.sentences(kinds.N),
            column: make.of(values, kinds.N),
        },
        {"id": range(kinds.M), "text": make.sentences(kinds.M)},
        {"id": range(kinds.M), name or column: [answer] * kinds.M},
    )


@pytest.mark.parametrize(
    ("column", "values", "answer", "problem", "metric"),
    [
        ("rating", [1, 2, 3, 4, 5], 3, "regression", "qwk"),
        ("rating", [1, 2, 3, 4, 5], 2.5, "regression", "rmse"),
        ("label", [0, 1, 2, 3], 0, "multiclass", "macro-f1"),
        ("label", [0, 1, 2, 3], 0.5, "regression", "rmse"),
        ("label", [0.0, 1.0, 2.0], 0, "multiclass", "macro-f1"),
        ("label", [0.0, 1.0, 2.0], 0.0, "regression", "rmse"),
        ("label", list(range(1, 120)), 0, "multiclass", "macro-f1"),
        ("target", [-3.6, 0.1, 1.7], 0.0, "regression", "rmse"),
        ("label", ["pos", "neg"], "neg", "binary", "f1"),
        ("label", ["pos", "neg"], 0.5, "binary", "auc"),
        ("label", [0, 1], 0, "binary", "f1"),
        ("label", [0, 1], 0.0, "binary", "auc"),
    ],
)
def test_whole_numbers_are_grades_or_codes_by_the_sample_and_the_name(
    column, values, answer, problem, metric, tmp_path
):
    task = seen(graded(tmp_path, column, values, answer)).task
    assert (task.problem, task.metric) == (problem, metric)


def test_whole_numbers_of_unknown_meaning_are_asked_for(tmp_path):
    graded(tmp_path, "flavour", [1, 2, 3, 4], 1)
    with pytest.raises(UsageError, match=r"--problem .*'flavour' is a whole number of 4 values"):
        look(tmp_path)
    assert seen(tmp_path, problem="multiclass").task.classes == ["1", "2", "3", "4"]
    assert seen(tmp_path, problem="regression").task.label_range == (1.0, 4.0)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["spam", "ham"], ["ham", "spam"]),
        (["Yes", "No"], ["No", "Yes"]),
        (["Yes", "no"], ["no", "Yes"]),
        ([1, -1], ["-1", "1"]),
        (["ironic", "not_ironic"], ["not_ironic", "ironic"]),
        (["human", "machine"], ["human", "machine"]),
    ],
)
def test_the_negative_class_comes_first(values, classes, tmp_path):
    assert seen(graded(tmp_path, "label", values, values[0])).task.classes == classes


def test_classes_are_sorted_as_numbers_where_they_are_numbers(tmp_path):
    task = seen(graded(tmp_path, "label", list(range(12)), 0)).task
    assert task.classes == [str(number) for number in range(12)]


def test_an_open_scale_has_no_range_and_the_reason_names_the_labels(tmp_path):
    found = look(graded(tmp_path, "target", [-3.6, 0.1, 1.7], 0.0))
    assert found.competition.task.label_range is None
    assert "from -3.6 to 1.7" in found.reasons["task.label_range"]


def test_the_richer_of_two_columns_that_follow_from_each_other_is_the_target(tmp_path):
    found = look(kinds.similarity(tmp_path))
    assert found.competition.columns.targets == ["label"]
    assert "'binary-label' follows from 'label'" in found.reasons["columns.targets"]


def test_a_copy_is_left_out_whatever_its_name(tmp_path):
    kinds.similarity(tmp_path)
    for name in ("train.csv", "dev.csv"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace("label,binary-label", "nearness,near", 1))
    assert seen(tmp_path).columns.targets == ["nearness"]


def test_an_id_of_another_name_is_found_by_its_values_in_test(tmp_path):
    kinds.disaster(tmp_path)
    for name in ("train.csv", "test.csv"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace("id,", "number,", 1))
    found = look(tmp_path)
    assert found.competition.columns.id == "number"
    assert "those of 'id' in the sample" in found.reasons["columns.id"]
    assert load(found.competition, tmp_path).sample.id_column == "id"


def test_without_a_sample_a_column_called_id_wins_over_other_unique_ones(tmp_path):
    kinds.disaster(tmp_path)
    (tmp_path / "sample_submission.csv").unlink()
    for name in ("train.csv", "test.csv"):
        lines = (tmp_path / name).read_text().splitlines()
        numbered = [f"{n or 'row_no'},{line}" for n, line in enumerate(lines)]
        (tmp_path / name).write_text("\n".join(numbered))
    assert seen(tmp_path).columns.id == "id"


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["premise", "note", "hypothesis"], [("premise", "hypothesis")]),
        (["question1", "question2", "answer"], [("question1", "question2")]),
        (["문장1", "문장2"], [("문장1", "문장2")]),
        (["textA", "textB"], [("textA", "textB")]),
        (["title", "body"], []),
        (["text_1", "label_2"], []),
    ],
)
def test_pairs_are_known_by_their_names(names, pairs):
    assert pairs_of(names) == pairs


def test_remarks_on_the_label_are_not_the_target(tmp_path):
    make = kinds.Maker("readability")
    kinds.handed_out(
        tmp_path,
        {
            "id": range(kinds.N),
            "excerpt": make.sentences(kinds.N, 50),
            "easiness": make.rng.normal(size=kinds.N),
            "standard_error": make.rng.random(kinds.N),
            "annotator_id": make.of(["x", "y", "z"], kinds.N),
        },
        {"id": range(kinds.M), "excerpt": make.sentences(kinds.M, 50)},
        {"id": range(kinds.M), "prediction": [0.0] * kinds.M},
    )
    assert seen(tmp_path).columns.targets == ["easiness"]


def test_several_labels_without_a_sample_are_a_multilabel_problem(tmp_path):
    kinds.toxic(tmp_path)
    (tmp_path / "sample_submission.csv").unlink()
    found = seen(tmp_path)
    assert (found.columns.targets, found.task.problem) == (kinds.TOXIC, "multilabel")


def test_class_columns_may_share_a_prefix(tmp_path):
    kinds.column_per_class(tmp_path)
    sample = tmp_path / "sample_submission.csv"
    text = sample.read_text().replace("EAP,HPL,MWS", "prob_HPL,prob_EAP,prob_MWS")
    sample.write_text(text)
    task = seen(tmp_path).task
    assert (task.classes, task.metric) == (["HPL", "EAP", "MWS"], "log-loss")


@pytest.mark.parametrize(("label", "found"), [(1, "'1'"), ("", "empty")])
def test_a_constant_label_is_bad_data(label, found, tmp_path):
    with pytest.raises(DataError) as caught:
        look(graded(tmp_path, "label", [label], 0))
    assert str(caught.value) == (
        f"column 'label' of the training file is {found} in every row: there is nothing to "
        "predict. Name another column with --target."
    )


@pytest.mark.parametrize(
    ("labels", "bounds"),
    [
        (["0.0", "2.4", "5.0"], (0.0, 5.0)),
        (["0.0", "2.4", "4.8"], (0.0, 5.0)),
        (["0.333", "2.4", "4.857"], (0.0, 5.0)),
        (["0.0", "41.7", "96.3"], None),
    ],
)
def test_the_metric_does_not_hang_on_whether_the_highest_label_occurs(tmp_path, labels, bounds):
    kinds.similarity(tmp_path)
    for name in ("train.csv", "dev.csv"):
        frame = pd.read_csv(tmp_path / name, dtype=str)
        frame["label"] = [labels[row % len(labels)] for row in range(len(frame))]
        frame.to_csv(tmp_path / name, index=False)
    found = seen(tmp_path, targets=["label"])
    assert (found.task.metric, found.task.label_range) == ("pearson", bounds)


@pytest.mark.parametrize("sample", [True, False])
def test_labels_of_one_value_stay_among_the_labels(tmp_path, sample):
    names = ["toxic", "threat", "insult"]
    rows = range(40)
    texts = [f"a comment of several words, number {row}" for row in rows]
    train = pd.DataFrame({"id": [f"c{row}" for row in rows], "comment_text": texts})
    train = train.assign(
        toxic=[row % 2 for row in rows], threat=0, insult=[row % 3 % 2 for row in rows]
    )
    test = train.drop(columns=names).assign(id=[f"t{row}" for row in rows])
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    if sample:
        answers = test[["id"]].assign(toxic=0.5, threat=0.5, insult=0.5)
        answers.to_csv(tmp_path / "sample_submission.csv", index=False)
    found = seen(tmp_path)
    assert (found.columns.targets, found.task.problem) == (names, "multilabel")


def test_chances_have_the_range_of_chances(tmp_path):
    found = seen(graded(tmp_path, "toxicity", [0.1, 0.25, 0.95], 0.5))
    assert found.task.label_range == (0.0, 1.0)


def test_names_of_files_as_texts_are_said_to_be_none(tmp_path):
    found = look(kinds.code_similarity(tmp_path))
    assert "put the files' content into these columns" in found.reasons["columns.texts"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("target", "label"),
        ("label", "score"),
        ("score", "binary_label"),
        ("airline_sentiment", "reason"),
        ("is_spam", "spam_reason"),
    ],
)
def test_some_names_are_better_known_for_targets_than_others(better, worse):
    assert target_rank(better) < target_rank(worse)


def test_an_answer_in_words_is_a_text(tmp_path):
    make = kinds.Maker("text")
    texts, answers = make.sentences(kinds.N), make.sentences(kinds.N)
    kinds.handed_out(
        tmp_path,
        {"id": range(kinds.N), "dialogue": texts, "summary": answers},
        {"id": range(kinds.M), "dialogue": make.sentences(kinds.M)},
        {"id": range(kinds.M), "summary": ["x"] * kinds.M},
    )
    found = seen(tmp_path)
    assert (found.task.problem, found.task.metric, found.task.classes) == ("text", "chrf", [])
    assert (found.columns.texts, found.columns.targets) == (["dialogue"], ["summary"])


def test_codes_that_name_every_row_are_neither_label_nor_text(tmp_path):
    make = kinds.Maker("codes")
    kinds.handed_out(
        tmp_path,
        {
            "id": range(kinds.N),
            "text": make.sentences(kinds.N),
            "code": [f"x{row}y" for row in range(kinds.N)],
        },
        {"id": range(kinds.M), "text": make.sentences(kinds.M)},
        {"id": range(kinds.M), "code": ["x"] * kinds.M},
    )
    with pytest.raises(UsageError, match=r"that is no label .*--problem text"):
        look(tmp_path)


def test_a_piece_of_the_text_is_an_answer_in_it(tmp_path):
    texts = kinds.Maker("span").sentences(kinds.N)
    train = {"id": range(kinds.N), "text": texts, "piece": [text[:20] for text in texts]}
    kinds.handed_out(tmp_path, train, {"id": range(kinds.M), "text": texts[: kinds.M]}, None)
    found = seen(tmp_path)
    assert (found.task.problem, found.task.metric) == ("span", "exact-match")
    assert (found.columns.texts, found.columns.targets) == (["text"], ["piece"])
    assert found.columns.question is None


def test_classes_that_stand_in_their_texts_stay_classes(tmp_path):
    pets = ["cat", "dog", "horse"]
    texts = [f"day {row}: my {pets[row % 3]} slept well" for row in range(kinds.N)]
    train = {"id": range(kinds.N), "text": texts, "pet": [pets[row % 3] for row in range(kinds.N)]}
    kinds.handed_out(tmp_path, train, {"id": range(kinds.M), "text": texts[: kinds.M]}, None)
    assert seen(tmp_path).task.problem == "multiclass"


TOKENS = '{"id": "%s", "words": ["Kim", "met", "Lee"]%s}\n'


def test_tags_of_given_tokens_words_and_characters_are_seen(tmp_path):
    rows = "".join(TOKENS % (n, ', "ner": ["B-PS", "O", "B-PS"]') for n in range(9))
    (tmp_path / "train.jsonl").write_text(rows)
    (tmp_path / "test.jsonl").write_text("".join(TOKENS % (n, "") for n in range(9)))
    found = seen(tmp_path)
    assert (found.columns.texts, found.columns.targets) == (["words"], ["ner"])
    assert (found.columns.unit, found.task.problem) == ("given", "tags")
    assert found.task.classes == ["O", "B-PS"]


def spans(folder: Path, *rows: str, more: str = "") -> None:
    """Two texts, and the spans of the first."""
    (folder / "train.csv").write_text("id,text\na,Kim met Lee\nb,no one\n")
    (folder / "test.csv").write_text("id,text\nc,Lee met Kim\n")
    text = "".join(f"{row}\n" for row in rows)
    (folder / "train_spans.csv").write_text(f"id,start,end,label{more}\n{text}")


@pytest.mark.parametrize(
    ("rows", "more", "way"),
    [
        (["a,0,3,PS", "a,8,11,PS"], "", ("character", "after")),
        (["a,0,2,PS", "a,8,10,PS"], "", ("character", "last")),
        (["a,0,1,PS", "a,2,3,PS", "b,,,"], "", ("word", "after")),
        (["a,0,0,PS", "a,2,2,PS"], "", ("word", "last")),
        (["a,0,1,PS,K", "a,2,3,PS,m"], ",piece", ("character", "after")),
        (["a,0,1,PS,Kim met"], ",piece", ("word", "last")),
    ],
)
def test_spans_beside_texts_are_seen(tmp_path, rows, more, way):
    spans(tmp_path, *rows, more=more)
    found = seen(tmp_path, problem="tags")
    (join,) = found.data.joins
    assert (join.spans, join.end_is, join.text) == (*way, "text")
    assert (found.columns.unit, found.columns.targets) == (way[0], ["label"])
    train = load(found, tmp_path).train
    assert train.units is not None
    assert not train.targets[train.units.document == "b", 0].any(), "O everywhere"


def test_spans_of_a_dev_file_are_read_as_those_of_train_and_those_of_test_are_left_alone(tmp_path):
    spans(tmp_path, "a,0,0,PS", "a,2,2,PS")
    (tmp_path / "dev.csv").write_text("id,text\nd,Kim met Lee\n")
    (tmp_path / "dev_spans.csv").write_text("id,start,end,label\nd,0,1,PS\n")
    for name in ("test_spans", "answers"):
        (tmp_path / f"{name}.csv").write_text("id,start,end,label\nc,0,0,PS\nc,2,2,PS\n")
    (tmp_path / "test_labels.csv").write_text("id,start,end,label\nc,0,0,PS\n")
    found = seen(tmp_path, problem="tags", test="test.csv", holdout=["dev.csv"])
    assert [(join.to, join.spans, join.end_is) for join in found.data.joins] == [
        (["train"], "word", "last"),
        (["holdout"], "word", "last"),
    ]
    assert found.data.holdout == ["dev.csv"]


def test_a_span_that_does_not_fit_is_named(tmp_path):
    spans(tmp_path, "a,0,3,PS", "a,8,11,PS", "b,4,99,PS")
    with pytest.raises(DataError, match=r"2 of 3 can be tags .* id b \(4 to 99, PS\)"):
        look(tmp_path)


def test_a_train_file_of_spans_is_refused_with_the_form_to_convert_it_to(tmp_path):
    spans(tmp_path, "a,0,3,PS", "a,8,11,PS")
    (tmp_path / "train.csv").rename(tmp_path / "texts.csv")
    (tmp_path / "train_spans.csv").rename(tmp_path / "train.csv")
    with pytest.raises(DataError, match="Write the texts into train"):
        look(tmp_path)


def test_lists_are_no_ids(tmp_path):
    for name, first in (("train", 0), ("test", 60)):
        text = "".join(f"Kim{n}\tB-PS\n{n}\tO\n\n" for n in range(first, first + 60))
        (tmp_path / f"{name}.tsv").write_text(text)
    assert seen(tmp_path).columns.id == ROW_NUMBER


@pytest.mark.parametrize(("articles", "groups"), [(60, ["article"]), (9, [])])
def test_articles_of_sentences_that_test_has_not_stay_whole(tmp_path, articles, groups):
    start, way = "-DOCSTART- -X- O\n\n", "ran V O\naway X O\nfrom X O\nall X O\nthe X O\nothers X O"
    for name, first in (("train", 0), ("test", 60)):  # the tags of test are there, and not used
        text = "".join(
            f"{start}Kim{n} N B-PS\n{way}\n\nIt P O\nrains V O\n{n} N O\n\n"
            for n in range(first, first + articles)
        )
        (tmp_path / f"{name}.txt").write_text(text)
    found = seen(tmp_path)
    assert (found.columns.id, found.columns.texts) == (ROW_NUMBER, ["tokens"])
    assert (found.columns.targets, found.task.classes) == (["tags"], ["O", "B-PS"])
    assert found.folds.group_columns == groups
    assert load(found, tmp_path).test.ids[:2].tolist() == ["test-1#0", "test-1#1"]


@pytest.mark.parametrize(
    ("text", "tags", "unit"),
    [("Kim met Lee", "B-PS O B-PS", "word"), ("a7", "O B-QT", "character")],
)
def test_tags_in_a_csv_are_of_words_or_characters(tmp_path, text, tags, unit):
    (tmp_path / "train.csv").write_text(f"id,text,tags\n1,{text},{tags}\n2,{text},{tags}\n")
    (tmp_path / "test.csv").write_text("id,text\n3,x y\n")
    found = seen(tmp_path)
    assert (found.columns.texts, found.columns.unit) == (["text"], unit)
    assert found.task.problem == "tags"


def test_spaces_behind_given_tokens_are_seen_and_whole_texts_are_no_feature(tmp_path):
    line = '{"document": %d, "full_text": "Kim, %d", "tokens": ["Kim", ",", "no"]%s}\n'
    spaces = ', "trailing_whitespace": [false, true, false]'
    for name, more in (("train", ', "labels": ["B-PS", "O", "O"]'), ("test", "")):
        rows = "".join(line % (n, n, spaces + more) for n in range(9))
        (tmp_path / f"{name}.jsonl").write_text(rows)
    found = seen(tmp_path)
    assert (found.columns.texts, found.columns.space_after) == (["tokens"], "trailing_whitespace")
    assert "full_text" not in found.columns.features


def test_tags_of_nothing_that_can_be_counted_are_refused(tmp_path):
    (tmp_path / "train.csv").write_text("id,text,tags\n1,Kim met Lee,B-PS O O O\n2,x y,O O\n")
    (tmp_path / "test.csv").write_text("id,text\n3,Lee met Kim\n")
    with pytest.raises(DataError, match="Name the right one with --text"):
        look(tmp_path)


def test_a_list_beside_the_label_does_no_harm_but_a_list_as_label_is_refused(tmp_path):
    line = '{"id": %d, "text": "some words of a text %d", "votes": ["a", "b"]%s}\n'
    kinds.write(
        tmp_path / "test.jsonl",
        {"id": range(9), "text": [f"and words of another {n}" for n in range(9)]},
    )
    train = tmp_path / "train.jsonl"
    train.write_text("".join(line % (n, n, f', "gold_label": {n % 2}') for n in range(9)))
    assert seen(tmp_path).columns.targets == ["gold_label"]
    train.write_text("".join(line % (n, n, "") for n in range(9)))
    with pytest.raises(DataError, match="'votes' holds a list in each row"):
        look(tmp_path)


def test_the_finest_common_column_with_few_values_is_stratified_on(tmp_path):
    found = look(kinds.similarity(tmp_path))
    assert found.competition.folds.stratify_by == ["source"]


def test_columns_of_new_values_in_test_are_hinted_at_as_groups_and_not_chosen(tmp_path):
    make = kinds.Maker("prompts")
    kinds.handed_out(
        tmp_path,
        {
            "id": range(kinds.N),
            "prompt_id": make.of(["a", "b", "c", "d", "e", "f"], kinds.N),
            "essay": make.sentences(kinds.N, 40),
            "score": make.of([1.5, 2.5, 4.0], kinds.N),
        },
        {
            "id": range(kinds.M),
            "prompt_id": make.of(["x", "y"], kinds.M),
            "essay": make.sentences(kinds.M, 40),
        },
        None,
    )
    found = look(tmp_path)
    assert found.competition.folds.group_columns == []
    told = "Consider 'prompt_id' (6 values): 100 % of test's rows have a value that train has not."
    assert told in found.reasons["folds.group_columns"]


def authored(folder, theirs):
    make = kinds.Maker("authors")
    names = [f"ann{number}" for number in range(60)]
    kinds.handed_out(
        folder,
        {
            "id": range(kinds.N),
            "author": make.of(names, kinds.N),
            "essay": make.sentences(kinds.N, 40),
            "score": make.of([1.5, 2.5, 4.0], kinds.N),
        },
        {
            "id": range(kinds.M),
            "author": make.of(theirs, kinds.M),
            "essay": make.sentences(kinds.M, 40),
        },
        None,
    )
    return look(folder)


def test_rows_of_a_column_of_which_test_has_none_stay_together(tmp_path):
    found = authored(tmp_path, [f"bob{number}" for number in range(20)])
    assert found.competition.folds.group_columns == ["author"]
    assert "'author' (60 values): 100 % of test's rows" in found.reasons["folds.group_columns"]


def test_empty_cells_of_test_are_no_new_values(tmp_path):
    found = authored(tmp_path, ["", "", "ann3"])
    assert found.competition.folds.group_columns == []
    assert "Consider" not in found.reasons["folds.group_columns"]


def three(folder: Path, names: list[str], **more) -> Path:
    """Three columns in front of a number to predict."""
    make = kinds.Maker("three")

    def columns(count):
        return {
            name: [f"A{place % 40:02}" for place in range(count)]
            if name == "context"
            else make.sentences(count)
            for name in names
        }

    score = make.of([0.0, 0.25, 0.5, 1.0], kinds.N)
    return kinds.handed_out(
        folder,
        {"id": range(kinds.N), **columns(kinds.N), "score": score},
        {"id": range(kinds.M), **columns(kinds.M)},
        {"id": range(kinds.M), "score": [0.5] * kinds.M},
    )


@pytest.mark.parametrize(
    ("names", "texts", "template"),
    [
        (
            ["prompt", "response_a", "response_b"],
            ["prompt", "response_a", "response_b"],
            ["{prompt} [SEP] {response_a}", "{response_b}"],
        ),
        (
            ["anchor", "target", "context"],
            ["anchor", "target"],
            ["{anchor}", "{target} [SEP] {context}"],
        ),
        (
            ["sentence1", "sentence2", "sentence3"],
            ["sentence1", "sentence2", "sentence3"],
            ["{sentence1} [SEP] {sentence2} [SEP] {sentence3}"],
        ),
        (["jam", "text", "ham"], ["jam", "text", "ham"], ["{jam} [SEP] {text} [SEP] {ham}"]),
    ],
)
def test_more_texts_than_two_are_put_together_by_a_template(names, texts, template, tmp_path):
    found = look(three(tmp_path, names))
    columns = found.competition.columns
    assert (columns.texts, columns.template) == (texts, template)
    assert columns.features == [name for name in names if name not in texts]
    assert "columns.template" in found.reasons


def test_a_template_can_be_given_and_what_it_leaves_out_is_named(tmp_path):
    three(tmp_path, ["anchor", "target", "context"])
    found = look(tmp_path, template=["{target}: {context}"])
    assert found.competition.columns.texts == ["target"]
    assert found.competition.columns.template == ["{target}: {context}"]
    assert "Not in the text that a model reads" in found.reasons["columns.features"]
    assert found.reasons["columns.features"].endswith("anchor.")
    with pytest.raises(UsageError, match="'contex' is not in train and test"):
        look(tmp_path, template=["{target}: {contex}"])
    with pytest.raises(UsageError, match="no offsets of entities were found"):
        look(tmp_path, template=["{target!marked}"])


def test_two_texts_that_are_given_need_no_template(tmp_path):
    three(tmp_path, ["prompt", "response_a", "response_b"])
    columns = seen(tmp_path, texts=["prompt", "response_b"]).columns
    assert (columns.texts, columns.template) == (["prompt", "response_b"], [])


def related(folder: Path, end_is: str, cells: bool) -> Path:
    """A relation between two words of a sentence, found by offsets."""
    make = kinds.Maker("related")

    def rows(count):
        sentences = make.sentences(count)
        columns = {"id": list(range(count)), "sentence": sentences}
        for name, place in (("subject", 1), ("object", 4)):
            at = [len(" ".join(text.split()[:place])) + 1 for text in sentences]
            found = [text.split()[place] for text in sentences]
            ends = [
                start + len(word) - (end_is == "last")
                for start, word in zip(at, found, strict=True)
            ]
            kind = make.of(["PER", "ORG"], count)
            if cells:
                parts = zip(found, at, ends, kind, strict=True)
                columns[f"{name}_entity"] = [
                    str({"word": word, "start_idx": start, "end_idx": end, "type": kind})
                    for word, start, end, kind in parts
                ]
            else:
                columns |= {f"{name}_start": at, f"{name}_end": ends, f"{name}_type": kind}
        return columns

    label = make.of(["no_relation", "works_for", "born_in"], kinds.N)
    return kinds.handed_out(folder, {**rows(kinds.N), "label": label}, rows(kinds.M), None)


@pytest.mark.parametrize("end_is", ["last", "after"])
@pytest.mark.parametrize("cells", [True, False])
def test_offsets_of_entities_are_seen_and_marked(end_is, cells, tmp_path):
    competition = seen(related(tmp_path, end_is, cells))
    columns = competition.columns
    assert (columns.texts, columns.template) == (["sentence"], ["{sentence!marked}"])
    assert [entity.end_is for entity in columns.entities] == [end_is, end_is]
    middle = "_entity.start_idx" if cells else "_start"
    assert [entity.start for entity in columns.entities] == [f"subject{middle}", f"object{middle}"]
    test = load(competition, tmp_path).test
    words = test.texts[0, 0].split()
    marked = test.marked["sentence"][0].split()
    assert marked[1] == "@"
    assert marked[marked.index("@") + 4] == words[1]
    assert marked[-1 - marked[::-1].index("#") - 1] == words[4]


def test_numbers_that_are_no_places_of_words_mark_nothing(tmp_path):
    related(tmp_path, "after", cells=False)
    for name in ("train.csv", "test.csv"):
        frame = pd.read_csv(tmp_path / name, dtype=str)
        frame["subject_end"] = frame["subject_end"].astype(int) + 2
        frame["object_start"] = "3"
        frame.to_csv(tmp_path / name, index=False)
    assert seen(tmp_path).columns.entities == []


def test_problems_of_all_files_are_told_at_once(tmp_path):
    kinds.disaster(tmp_path)
    for name in ("train.csv", "test.csv"):
        with (tmp_path / name).open("a") as stream:
            stream.write("one,field,too,many,in,this,row\n")
    with pytest.raises(DataError) as caught:
        look(tmp_path)
    assert "train.csv cannot be read" in str(caught.value)
    assert "test.csv cannot be read" in str(caught.value)
