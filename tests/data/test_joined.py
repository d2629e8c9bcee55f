"""Tables beside the rows: joined as the config says, refused with a sentence, proposed by init."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.base.config import Competition
from pipeline.base.errors import DataError, UsageError
from pipeline.base.inputs import JoinConfig
from pipeline.base.parser import read_section
from pipeline.data.joined import joined as joined_rows
from pipeline.data.tables import load
from pipeline.setup.config_file import render, summary
from pipeline.setup.detection.detect import Detected, Overrides, detect
from tests.data.reading.test_packed import essays
from tests.data.test_tables import Folder
from tests.setup import competitions as kinds

PROMPTS = "key,prompt\np,first\nq,second\n"
ROWS = {
    "train.csv": "id,text,key,label\n1,a,p,0\n2,b,q,1\n3,c,p,2\n",
    "test.csv": "id,text,key\n8,d,q\n9,e,p\n",
}


@pytest.fixture
def folder(tmp_path) -> Folder:
    found = Folder(tmp_path)
    for name, content in {**ROWS, "prompts.csv": PROMPTS}.items():
        found.write(name, content)
    return found


def join(**more) -> JoinConfig:
    usual = {"file": "prompts.csv", "to": ["train", "test"], "key": "key", "columns": ["prompt"]}
    return JoinConfig(**{**usual, **more})


def joined(folder: Folder, *joins: JoinConfig, feature: str = "prompt"):
    folder.competition = replace(
        folder.competition, columns=replace(folder.competition.columns, features=[feature])
    )
    return folder.load("data", joins=list(joins))


def test_many_rows_get_the_columns_of_the_one_row_that_their_key_names(folder):
    tables = joined(folder, join())
    assert tables.train.features["prompt"].tolist() == ["first", "second", "first"]
    assert tables.test.features["prompt"].tolist() == ["second", "first"]
    assert tables.train.ids.tolist() == ["1", "2", "3"]
    assert tables.notes == ()


def test_the_key_may_be_called_otherwise_there_and_names_may_get_a_prefix(folder):
    folder.write("prompts.csv", "name,text\np,first\nq,second\nz,third\n")
    tables = joined(
        folder, join(file_key="name", columns=["text"], prefix="prompt_"), feature="prompt_text"
    )
    assert tables.train.features["prompt_text"].tolist() == ["first", "second", "first"]
    assert "prompts.csv: 1 of its rows belong to no row of train.csv" in tables.notes


@pytest.mark.parametrize(
    ("content", "more", "told"),
    [
        ("key,prompt\np,first\n", {}, "1 rows whose key is not in prompts.csv: q (there they"),
        ("key,prompt\np,x\nQ ,y\n", {}, "not in prompts.csv: q; 'q' is 'Q ' there. Write them"),
        (PROMPTS + "q,third\n", {}, "key that stand more than once: q (2 times). A join takes"),
        ("key,text\np,x\nq,y\n", {"columns": ["text"]}, "both have a column 'text': set the pre"),
        (PROMPTS, {"key": "kye"}, "no column 'kye' to join prompts.csv by; it has id, text, key"),
        (PROMPTS, {"columns": ["title"]}, "prompts.csv: there is no column 'title' to be joined"),
        (PROMPTS, {"file": "prompt.csv"}, "prompt.csv is not there; did you mean prompts.csv?"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(folder, content, more, told):
    folder.write("prompts.csv", content)
    with pytest.raises(DataError) as caught:
        joined(folder, join(**more))
    assert told in str(caught.value)


def test_a_join_has_columns_and_rows_to_go_to():
    with pytest.raises(UsageError, match=r"columns of 'prompts\.csv' is empty"):
        join(columns=[])
    with pytest.raises(UsageError, match="to of"):
        join(to=[])


SPANS = JoinConfig(
    file="s.csv", to=["train"], key="id", columns=["start", "end", "label"], spans="word", text="t"
)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (("a", "1", "2", "PS"), ""),
        (("a", "", "", ""), ""),
        (("a", "1", "1", "PS"), "empty or end behind their text, in words: id a (1 to 1, PS)"),
        (("a", "2", "4", "PS"), "empty or end behind their text, in words: id a (2 to 4, PS)"),
        (("a", "0", "2", "LC"), "overlap another; a unit has one tag, so take one out: id a (0"),
        (("a", "1", "x", "PS"), "without a whole number as start and end, or a label: id a (1 to"),
        (("a", "1", "2", " "), "without a whole number as start and end, or a label: id a (1 to"),
        (("z", "1", "2", "PS"), "rows whose id is not in train.csv: z"),
    ],
)
def test_spans_that_cannot_be_tags_are_named(cells, told):
    frame = pd.DataFrame({"id": ["a", "b"], "t": ["Kim met Lee", "no  one"]}, dtype=object)
    table = pd.DataFrame([("a", "0", "1", "PS"), cells], columns=["id", *SPANS.columns])
    wide, problems, _ = joined_rows(frame, "train.csv", [SPANS], lambda _: (table, [], []))
    if told:
        assert len(problems) == 1
        assert told in problems[0]
        return
    assert wide is not None
    second = "B-PS" if cells[1] else "O"
    assert wide["label"].tolist() == [f'["B-PS", "{second}", "O"]', '["O", "O"]']


def test_spans_need_a_text_and_three_columns():
    with pytest.raises(UsageError, match="has spans; expected text"):
        replace(SPANS, text="")
    with pytest.raises(UsageError, match="has spans; expected text"):
        replace(SPANS, columns=["start", "label"])
    frame = pd.DataFrame({"id": ["a"], "t": ["Kim"], "label": ["x"]}, dtype=object)
    table = pd.DataFrame([("a", "0", "1", "PS")], columns=["id", *SPANS.columns])
    for join_, says in ((SPANS, "set a prefix"), (replace(SPANS, text="q"), "no column 'q'")):
        _, problems, _ = joined_rows(frame, "train.csv", [join_], lambda _: (table, [], []))
        assert says in problems[0]


def seen(folder: Path, **overrides) -> Detected:
    return detect(folder, Overrides(**overrides), lambda path: path.relative_to(folder).as_posix())


def read_back(found: Detected, folder: Path) -> Competition:
    path = folder / "config.yaml"
    path.write_text(render(found.competition, found.reasons), encoding="utf-8")
    return read_section(Competition, path)


def graded(make: kinds.Maker, count: int, **columns) -> dict:
    return {"id": range(count), **columns, "score": make.of([1, 2, 3, 4], count)}


def test_prompts_of_their_own_are_proposed_and_read_through_the_template(tmp_path):
    make = kinds.Maker("summaries")
    names = [f"p{place}" for place in range(6)]
    for role, count in (("train", kinds.N), ("test", kinds.M)):
        key = make.of(names[:3] if role == "train" else names[3:], count)
        rows = graded(make, count, prompt_id=key, text=make.sentences(count))
        rows = rows if role == "train" else {k: v for k, v in rows.items() if k != "score"}
        kinds.write(tmp_path / f"summaries_{role}.csv", rows)
    kinds.write(tmp_path / "prompts.csv", {"id": names, "prompt_text": make.sentences(6, 30)})
    kinds.write(tmp_path / "sample_submission.csv", {"id": range(kinds.M), "score": [2] * kinds.M})
    found = seen(tmp_path)
    (only,) = found.competition.data.joins
    assert (only.file, only.to, only.key, only.file_key, only.columns) == (
        "prompts.csv",
        ["train", "test"],
        "prompt_id",
        "id",
        ["prompt_text"],
    )
    assert "prompts.csv to train and test by prompt_id: prompt_text" in " ".join(
        summary(found.competition, found.reasons).split()
    )
    assert found.competition.columns.texts == ["text"]
    assert found.competition.columns.template == ["{text} [SEP] {prompt_text}"]
    competition = read_back(found, tmp_path)
    assert competition == found.competition
    assert len(set(load(competition, tmp_path).test.features["prompt_text"])) == 3
    without = seen(tmp_path, no_joins=True)
    assert without.competition.data.joins == []
    assert "prompts.csv" in without.reasons["data.train"]


def test_labels_in_a_file_of_their_own_are_joined_to_the_texts(tmp_path):
    make = kinds.Maker("apart")
    for role, count in (("train", kinds.N), ("test", kinds.M)):
        rows = {"id": range(count), "text": make.sentences(count)}
        kinds.write(tmp_path / f"{role}_data.csv", rows)
    labels = {"id": list(range(kinds.N))[::-1], "label": make.of([0, 1], kinds.N)}
    kinds.write(tmp_path / "train_labels.csv", labels)
    found = seen(tmp_path)
    assert found.competition.data.train == "train_data.csv"
    assert [each.to for each in found.competition.data.joins] == [["train"]]
    train = load(read_back(found, tmp_path), tmp_path).train
    wanted = dict(zip(map(str, labels["id"]), labels["label"], strict=True))
    assert [wanted[row] for row in train.ids] == train.targets[:, 0].tolist()


@pytest.mark.parametrize("packed", [False, True])
def test_essays_in_text_files_are_joined_by_their_names(packed, tmp_path):
    make = kinds.Maker("essays")
    rows = graded(make, kinds.N)
    texts = {"train": make.sentences(kinds.N, 30), "test": make.sentences(kinds.M, 30)}
    for role, each in texts.items():
        folder = essays(tmp_path / role, {str(place): text for place, text in enumerate(each)})
        if packed:
            with zipfile.ZipFile(tmp_path / f"{role}.zip", "w") as archive:
                for path in folder.iterdir():
                    archive.write(path, f"{role}/{path.name}")
            for path in folder.iterdir():
                path.unlink()
    kinds.write(tmp_path / "train.csv", rows)
    kinds.write(tmp_path / "sample_submission.csv", {"id": range(kinds.M), "score": [2] * kinds.M})
    found = seen(tmp_path)
    tables = load(read_back(found, tmp_path), tmp_path)
    assert dict(zip(tables.train.ids, tables.train.texts[:, 0], strict=True)) == {
        str(place): text for place, text in enumerate(texts["train"])
    }
    assert dict(zip(tables.test.ids, tables.test.texts[:, 0], strict=True)) == {
        str(place): text for place, text in enumerate(texts["test"])
    }


def test_a_longer_count_from_0_or_the_same_columns_are_no_reason_to_join(tmp_path):
    kinds.essay_grades(tmp_path)
    make = kinds.Maker("others")
    frame = {"essay_id": [f"a{n:05}" for n in range(2 * kinds.N)]}
    kinds.write(tmp_path / "longer.csv", {**frame, "remark": make.sentences(2 * kinds.N)})
    kinds.write(tmp_path / "same.csv", {**frame, "full_text": make.sentences(2 * kinds.N)})
    assert seen(tmp_path).competition.data.joins == []


def test_of_two_files_that_offer_the_same_column_one_is_joined_and_the_other_named(tmp_path):
    kinds.essay_grades(tmp_path)
    make = kinds.Maker("rivals")
    ids = {"essay_id": [f"a{n:05}" for n in range(kinds.N)]}
    for name in ("first", "second"):
        kinds.write(tmp_path / f"train_{name}.csv", {**ids, "topic": make.sentences(kinds.N)})
    found = seen(tmp_path)
    assert [each.file for each in found.competition.data.joins] == ["train_first.csv"]
    assert "train_second.csv has topic as well, and is not joined" in found.reasons["data.joins"]
