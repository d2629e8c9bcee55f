"""Forms of labels and of submissions, the whole way; what cannot be written is refused first."""

import json
import re
import shlex
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import cv, init
from pipeline.base.command import run
from pipeline.doctor import __main__ as doctor
from pipeline.folds import __main__ as folds
from pipeline.problems.multilabel import joined
from pipeline.team import __main__ as team
from tests.nightly import nightly
from tests.quick import quick
from tests.test_shapes import WORDS, competition, save, submission

CODES = ["art=7", "money=8", "state=9"]


def folder_of(tmp_path: Path, **changed: object) -> Path:
    """The competition of three topics; *changed* columns of its sample submission."""
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample.assign(**changed))
    return folder


def refusal(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """What init says when it refuses; no config may be left behind."""
    asked = [str(folder), "--root", str(tmp_path), "--name", "topics", *flags]
    assert run(init.main, asked) in (2, 3)
    assert not (tmp_path / "configs").exists()
    return " ".join(capsys.readouterr().err.split())


# What contradicts the sample.


def test_words_against_codes_are_refused_before_the_config_and_the_remedy_works(tmp_path, capsys):
    folder = folder_of(tmp_path, topic="8")
    message = refusal(tmp_path, folder, capsys)
    assert "the sample submission shows '8', the classes of train are 'art', 'money'" in message
    assert "init: --class-codes art=0 money=1 state=2, with the organiser's codes" in message
    lines = submission(tmp_path, folder, "--class-codes", *CODES)
    assert [line[1] for line in lines[1:]] == ["8", "7", "9"] * 4


@pytest.mark.nightly
def test_words_may_stand_where_the_sample_shows_a_number(tmp_path):
    lines = submission(tmp_path, folder_of(tmp_path, topic="0"), "--class-codes", "as-is")
    assert [line[1] for line in lines[1:]] == ["money", "art", "state"] * 4


@pytest.mark.parametrize(
    ("codes", "said"),
    [(["art=1", "money=2"], "have no code (candidates: 'state')"), (["x=1"], "names no class")],
)
def test_codes_that_do_not_fit_the_classes_are_refused(tmp_path, capsys, codes, said):
    assert said in refusal(tmp_path, folder_of(tmp_path), capsys, "--class-codes", *codes)


def test_cv_refuses_what_cannot_be_written_before_it_trains(tmp_path, capsys):
    folder, where = folder_of(tmp_path), ["--root", str(tmp_path)]
    assert run(init.main, [str(folder), *where, "--name", "topics"]) == 0
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
    sample.assign(topic="0").to_csv(folder / "sample_submission.csv", index=False)
    config = ["--config", str(tmp_path / "configs" / "topics.yaml"), "--model", "linear"]
    quick(tmp_path)
    assert run(cv.main, [*where, *config]) == 3
    assert "Set task.class_codes" in capsys.readouterr().err
    assert not (tmp_path / "folds").exists()
    codes = '["7", "8", "9"]'
    assert run(cv.main, [*where, *config, "--task.class_codes", codes]) == 0


def with_minus_one(tmp_path: Path) -> Path:
    """Every third row has -1 for a label, the others 0 or 1."""
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train["topic"] = [["-1", "0", "1"][row % 3] for row in range(60)]
    save(folder, train=train, test=test, sample_submission=sample.assign(topic="0"))
    return folder


def test_minus_one_is_asked_about_and_may_be_rows_without_a_label(tmp_path, capsys):
    folder = with_minus_one(tmp_path)
    message = refusal(tmp_path, folder, capsys, "--problem", "multiclass")
    assert "--unlabelled=-1, or --class-codes as-is: 'topic' has -1 beside 0, 1" in message
    lines = submission(tmp_path, folder, "--unlabelled=-1", "--metric", "accuracy")
    assert "20 rows without a label (-1) are left out" in " ".join(capsys.readouterr().out.split())
    assert {line[1] for line in lines[1:]} == {"0", "1"}


@pytest.mark.nightly
def test_minus_one_may_be_a_class(tmp_path):
    flags = ["--class-codes", "as-is", "--problem", "multiclass"]
    lines = submission(tmp_path, with_minus_one(tmp_path), *flags)
    assert [line[1] for line in lines[1:]] == ["-1", "0", "1"] * 4


# One class per row in other forms.


def test_one_hot_columns_are_one_class_and_rows_sum_to_one(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    names = ["wins_state", "wins_art", "wins_money"]
    for name in names:
        train[name] = (train["topic"] == name.removeprefix("wins_")).astype(int)
        sample[name] = "0.33"
    save(folder, train=train.drop(columns="topic"), test=test)
    save(folder, sample_submission=sample.drop(columns="topic"))
    lines = submission(tmp_path, folder)
    config = (tmp_path / "configs" / "topics.yaml").read_text()
    assert "problem: multiclass" in config
    assert "metric: log-loss" in config
    assert lines[0] == ["id", *names]
    values = [[float(cell) for cell in line[1:]] for line in lines[1:]]
    assert all(abs(sum(row) - 1) < 1e-5 for row in values)
    assert [names[row.index(max(row))] for row in values[:3]] == [names[2], names[1], names[0]]


def test_a_row_with_two_ones_is_named_where_one_hot_was_asked_for(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    for name in ("art", "money", "state"):
        train[name] = (train["topic"] == name).astype(int)
        sample[name] = "0.33"
    save(folder, train=train.drop(columns="topic"), test=test)
    save(folder, sample_submission=sample.drop(columns="topic"))
    where = ["--root", str(tmp_path)]
    assert run(init.main, [str(folder), *where, "--name", "topics"]) == 0
    train.loc[4, ["art", "money", "state"]] = [1, 1, 0]
    save(folder, train=train.drop(columns="topic"))
    config = ["--config", str(tmp_path / "configs" / "topics.yaml"), "--model", "linear"]
    quick(tmp_path)
    assert run(cv.main, [*where, *config]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "rows that have not exactly one 1 among 0s: id 00004 (1, 1, 0)" in said


def test_several_guesses_per_row_are_written_likeliest_first(tmp_path):
    folder = folder_of(tmp_path, topic="art money")
    lines = submission(tmp_path, folder)
    assert "map(2)" in (tmp_path / "configs" / "topics.yaml").read_text()
    answers = [line[1].split() for line in lines[1:]]
    assert [answer[0] for answer in answers] == ["money", "art", "state"] * 4
    assert all(len(set(answer)) == 2 for answer in answers)


@pytest.mark.nightly
def test_a_class_beside_the_list_of_all_probabilities_in_the_organisers_order(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    test["topic"] = "100"
    listed = sample.rename(columns={"topic": "pred_label"}).assign(probs="[0.3, 0.3, 0.4]")
    save(folder, train=train, test=test, sample_submission=listed)
    message = refusal(tmp_path, folder, capsys)
    assert "--classes A B C …: the sample submission lists a probability per class" in message
    submission(tmp_path, folder, "--classes", "state", "art", "money")
    (file,) = (tmp_path / "submissions").glob("*.csv")
    found = pd.read_csv(file)
    assert found.columns.tolist() == ["id", "pred_label", "probs"]
    assert found["pred_label"].tolist() == ["money", "art", "state"] * 4
    lists = [json.loads(cell) for cell in found["probs"]]
    assert all(abs(sum(each) - 1) < 1e-5 for each in lists)
    assert [each.index(max(each)) for each in lists[:3]] == [2, 1, 0]


def test_lists_of_another_length_than_the_classes_are_refused(tmp_path, capsys):
    folder = folder_of(tmp_path, topic="[0.5, 0.5]")
    message = refusal(tmp_path, folder, capsys, "--classes", "art", "money", "state")
    assert "lists 2 probabilities in column 'topic', task.classes has 3" in message


@pytest.mark.nightly
def test_a_column_such_as_usage_is_kept_and_tells_nothing_of_the_metric(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    sample.insert(1, "Usage", ["Public", "Private"] * 6)
    save(folder, train=train, test=test, sample_submission=sample)
    assert run(init.main, [str(folder), "--root", str(tmp_path / "first")]) == 0
    assert "['Usage'] are no target of train: kept as" in capsys.readouterr().out
    lines = submission(tmp_path, folder)
    assert "metric: macro-f1" in (tmp_path / "configs" / "topics.yaml").read_text()
    assert lines[1:3] == [["00900", "Public", "money"], ["00901", "Private", "art"]]


@pytest.mark.nightly
def test_zeros_in_front_prove_a_code(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train["topic"] = train["topic"].map({"money": "007", "art": "010", "state": "100"})
    save(folder, train=train, test=test, sample_submission=sample.assign(topic="007"))
    lines = submission(tmp_path, folder)
    assert [line[1] for line in lines[1:4]] == ["007", "010", "100"]


@pytest.mark.nightly
def test_a_class_of_one_row_is_trained_on_and_never_scored(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train.loc[7, "topic"] = "sports"
    save(folder, train=train, test=test, sample_submission=sample)
    lines = submission(tmp_path, folder)
    assert len(lines) == 13
    said = " ".join(capsys.readouterr().out.split())
    assert "1 class of a single row is trained on in every fold and never scored" in said
    assert "rare: train-only" in (tmp_path / "configs" / "topics.yaml").read_text()
    folds = pd.read_csv(tmp_path / "folds" / "topics.csv", dtype=str)
    assert len(folds) == 59
    assert "00007" not in set(folds["id"])
    config = ["--config", str(tmp_path / "configs" / "topics.yaml"), "--folds.rare", "refuse"]
    shutil.rmtree(tmp_path / "folds")
    assert run(cv.main, ["--root", str(tmp_path), *config, "--model", "linear", "--dry-run"]) == 3
    assert "set folds.rare to train-only" in capsys.readouterr().err


def test_a_text_called_target_is_a_text_where_test_has_it(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    renamed = [frame.rename(columns={"title": "anchor"}) for frame in (train, test)]
    for frame in renamed:
        frame["target"] = [f"word {row} {row % 7}" for row in range(len(frame))]
    save(folder, train=renamed[0], test=renamed[1], sample_submission=sample)
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 0
    assert "texts: [anchor, target]" in (tmp_path / "configs" / "topics.yaml").read_text()


# Several labels in one cell.

SETS = [["money", "risk"], ["art"], ["state", "risk"], ["money"], ["art", "risk"], ["state"]]


@pytest.mark.parametrize(
    "how",
    [",", *(nightly(how) for how in ("json", ", ", "python"))],
)
def test_labels_that_share_a_cell_are_several_labels_and_written_as_the_sample_has_them(
    tmp_path, how
):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    sets = [SETS[row % 6] for row in range(60)]
    train["topic"] = [joined(each, how) for each in sets]
    danger = ["danger" if "risk" in each else "safety" for each in sets]
    train["title"] = [f"{WORDS[row % 3]} {danger[row]} {row}" for row in range(60)]
    test["title"] = [*["qqq zzz"] * 3, *train["title"].tail(9)]  # of three nothing is known
    shown = joined(["art", "risk"], how)
    save(folder, train=train, test=test, sample_submission=sample.assign(topic=shown))
    submission(tmp_path, folder)
    config = (tmp_path / "configs" / "topics.yaml").read_text()
    assert "problem: multilabel" in config
    assert "classes: [art, money, risk, state]" in config
    (file,) = (tmp_path / "submissions").glob("*.csv")
    answers = pd.read_csv(file, dtype=str, keep_default_na=False)["topic"].tolist()
    right = [joined(sorted(each), how) for each in sets[-12:]]
    assert sum(one == other for one, other in zip(answers, right, strict=True)) >= 7
    assert all(len(each) > 2 for each in answers), "train has no cell without a label"


def test_cells_that_may_be_labels_or_numbers_are_asked_about_where_test_has_them_too(
    tmp_path, capsys
):
    """As GoEmotions is published: 0,1 was read as a tenth, without a word."""
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    codes = {"art": "0", "money": "1", "state": "2"}
    train["label"] = [codes[each] for each in train.pop("topic")]
    train.loc[:8, "label"] = ["0,1", "1,2", "2,0"] * 3
    save(folder, train=train, test=test.assign(label=["0", "1", "2"] * 4))
    assert "or several labels in a cell?" in refusal(tmp_path, folder, capsys)
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--problem", "multilabel"]) == 0


def test_a_label_that_the_config_does_not_name_is_told_with_its_row(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train["topic"] = [",".join(SETS[row % 6]) for row in range(60)]
    save(folder, train=train, test=test, sample_submission=sample.assign(topic="art,risk"))
    where = ["--root", str(tmp_path)]
    assert run(init.main, [str(folder), *where, "--name", "topics"]) == 0
    train.loc[4, "topic"] = "art,rsik"
    save(folder, train=train)
    config = ["--config", str(tmp_path / "configs" / "topics.yaml"), "--model", "linear"]
    quick(tmp_path)
    assert run(cv.main, [*where, *config]) == 3
    assert "a label that is not in task.classes: id 00004 ('rsik')" in capsys.readouterr().err


# Samples in long form, and of some rows only.


def test_a_sample_with_a_row_per_class_is_written_with_a_row_per_class(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    kinds = ["money", "state", "art"]
    rows = [(each, kind, "0.3") for each in sample["id"] for kind in kinds]
    long = pd.DataFrame(rows, columns=["id", "topic", "probability"])
    save(folder, train=train, test=test, sample_submission=long)
    lines = submission(tmp_path, folder)
    assert "metric: log-loss" in (tmp_path / "configs" / "topics.yaml").read_text()
    assert lines[0] == ["id", "topic", "probability"]
    assert [tuple(line[:2]) for line in lines[1:]] == [row[:2] for row in rows]
    values = [float(line[2]) for line in lines[1:]]
    assert all(abs(sum(values[row : row + 3]) - 1) < 1e-5 for row in range(0, 36, 3))
    best = [kinds[max(range(3), key=lambda kind: values[row + kind])] for row in (0, 3, 6)]
    assert best == ["money", "art", "state"]


@pytest.mark.nightly
def test_a_sample_of_the_first_rows_is_taken_on_request(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample.head(3))
    message = refusal(tmp_path, folder, capsys)
    assert "set data.short_sample to true; init: --short-sample" in message
    lines = submission(tmp_path, folder, "--short-sample")
    assert [line[0] for line in lines[1:]] == test["id"].tolist()
    assert [line[1] for line in lines[1:4]] == ["money", "art", "state"]


PAGE, INIT = 65, 45
"""Lines of a command's page, all its tables included, and of what init prints."""


def test_three_hundred_classes_take_no_more_than_a_screen(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    folder = tmp_path / "input"
    folder.mkdir()
    frame = pd.DataFrame(
        {"id": range(900), "title": [f"one two three {row}" for row in range(900)]}
    )
    train = frame.assign(topic=[f"kind-{row % 300}" for row in range(900)])
    test = frame.head(30).assign(id=range(1000, 1030))
    save(folder, train=train, test=test)
    assert run(init.main, [str(folder), "--root", str(tmp_path)]) == 0
    assert (tmp_path / "configs" / f"{tmp_path.name}.yaml").exists()
    said = capsys.readouterr().out
    assert "kind-100, " in said
    assert "… (300)" in said
    assert "kind-299" not in said.partition("Target")[0]
    assert said.count("\n") <= INIT
    config = [
        "--root",
        str(tmp_path),
        "--config",
        str(tmp_path / "configs" / f"{tmp_path.name}.yaml"),
    ]
    assert run(folds.main, config) == 0
    said = capsys.readouterr().out
    assert "300 of 300 classes stand in fewer groups of rows than the 5 folds" in said
    assert said.count("\n") < PAGE
    assert max(map(len, said.splitlines())) < 400
    other = tmp_path / "other.csv"
    other.write_text("id,a,b\n1,0.5,0.5\n", encoding="utf-8")
    assert run(team.main, ["add", str(other), "--name", "anna", *config]) == 3
    told = capsys.readouterr().err
    assert "300 of them, named kind-0, kind-1" in told
    assert len(told) < 3000
    assert run(doctor.main, config) in (0, 1)
    assert len(capsys.readouterr().out) < 6000


@pytest.mark.nightly
def test_rare_classes_of_long_names_beside_all_that_is_odd_take_no_more_than_a_screen(
    tmp_path, capsys, monkeypatch
):
    """Single rows, rows without a text, texts again and again, further columns, several texts."""
    monkeypatch.delenv("COLUMNS", raising=False)
    random = np.random.default_rng(0)
    often = 1 / np.arange(1, 301) ** 1.1
    kinds = [*range(300), *random.choice(300, size=900, p=often / often.sum())]
    words = np.array(["market", "song", "river", "stone", "bread", "cloud", "horse", "light"])

    def rows(n: int, first: int) -> pd.DataFrame:
        texts = [[f"{' '.join(random.choice(words, 9))} {row}" for row in range(n)] for _ in "ab"]
        frame = pd.DataFrame({"id": [f"r{first + row}" for row in range(n)]})
        source = random.choice(list("xyz"), n)
        return frame.assign(title=texts[0], body=texts[1], source=source)

    train, test = rows(1200, 0), rows(200, 5000).assign(extra="q")
    train["topic"] = [f"class number {kind} of 300, {words[kind % 8]}" for kind in kinds]
    train.loc[5:25, "title"] = ""
    train.loc[30:45, "body"] = train.loc[0, "body"]
    sample = test[["id"]].assign(topic=train["topic"][0])
    (tmp_path / "input").mkdir()
    save(tmp_path / "input", train=train, test=test, sample_submission=sample)
    assert run(init.main, [str(tmp_path / "input"), "--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("\n") <= INIT, said
    for answer in (
        "… (300)",
        "classes of a single row are trained on in every fold and never scored",
        "rare, under 2 % of the rows",
        "fewer than the 5 folds: some held-out parts will lack it",
        "21 rows with an empty title",
        "equal or near texts",
        "only test has extra",
        "told apart with AUC",
        "free disk",
        "Next:",
    ):
        assert answer in said, answer


@pytest.mark.parametrize("ending", ["jsonl", "json", "xlsx", "parquet"])
def test_a_sample_that_is_no_csv_is_told_with_the_command_that_converts(
    tmp_path, capsys, monkeypatch, ending
):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test)
    write = {
        "jsonl": lambda path: sample.to_json(path, orient="records", lines=True),
        "json": lambda path: sample.to_json(path, orient="records"),
        "xlsx": lambda path: sample.to_excel(path, index=False),
        "parquet": lambda path: sample.to_parquet(path, index=False),
    }
    write[ending](folder / f"sample_submission.{ending}")
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 0
    said = capsys.readouterr().out
    (command,) = re.findall(r"is no csv, but submissions are.*convert FILE\.csv: (python .*)", said)
    sample.to_csv(tmp_path / "FILE.csv", index=False)
    *program, code = shlex.split(command)
    assert program == ["python", "-c"]
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    read = {"xlsx": partial(pd.read_excel, dtype=str), "parquet": pd.read_parquet}
    if ending == "jsonl":
        found = pd.read_json(tmp_path / "FILE.jsonl", lines=True, dtype=False)
    elif ending == "json":
        found = pd.read_json(tmp_path / "FILE.json", dtype=False)
    else:
        found = read[ending](tmp_path / f"FILE.{ending}")
    assert found.astype(str).values.tolist() == sample.astype(str).values.tolist()
    assert found.columns.tolist() == sample.columns.tolist()


# Numbers that are written otherwise, labels in other forms, names that differ in their letters.


@pytest.mark.nightly
def test_whole_numbers_with_a_fraction_are_written_as_the_sample_has_them(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    kinds = {"money": "0.0", "art": "1.0", "state": "2.0"}
    train["topic"] = train["topic"].map(kinds)
    save(folder, train=train, test=test, sample_submission=sample.assign(topic="0"))
    lines = submission(tmp_path, folder)
    assert [line[1] for line in lines[1:]] == ["0", "1", "2"] * 4
    assert "no class of train" not in capsys.readouterr().out


def test_a_metric_that_takes_classes_only_is_refused_before_anything_is_trained(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train["topic"] = train["topic"].replace("state", "art")
    save(folder, train=train, test=test, sample_submission=sample)
    metric = ["--metric", "sklearn.metrics:matthews_corrcoef"]
    message = refusal(tmp_path, folder, capsys, *metric)
    assert "put a function around it that decides" in message
    own = (
        "import sklearn.metrics as m\ndef mcc(y, p):\n    return m.matthews_corrcoef(y, p >= 0.5)\n"
    )
    (tmp_path / "own_mcc.py").write_text(own)
    assert len(submission(tmp_path, folder, "--metric", "own_mcc:mcc")) == 13


@pytest.mark.nightly
def test_a_test_file_with_labels_lends_none_of_their_forms_to_the_model(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    topics = ["money", "art", "state"] * 20
    for frame in (train, test):
        frame["topic"] = topics[: len(frame)]
        frame["topic_text"] = frame["topic"].map({"money": "M", "art": "A", "state": "S"})
        frame["source"] = ["x", "y"] * (len(frame) // 2)
    save(folder, train=train, test=test)
    message = refusal(tmp_path, folder, capsys)
    assert "--target COLUMN: no column is in train only (candidates: 'topic'" in message
    assert len(submission(tmp_path, folder, "--target", "topic")) == 13
    config = (tmp_path / "configs" / "topics.yaml").read_text(encoding="utf-8")
    assert "features: [source]" in config
    assert "The label in another form: topic_text." in config


@pytest.mark.nightly
def test_ids_that_are_called_alike_but_for_capital_letters(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train, test = train.rename(columns={"id": "ID"}), test.rename(columns={"id": "Id"})
    save(folder, train=train, test=test, sample_submission=sample)
    lines = submission(tmp_path, folder)
    assert [line[0] for line in lines[1:]] == test["Id"].tolist()


@pytest.mark.nightly
def test_doubled_ids_of_train_are_refused_and_the_remedy_works(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train.loc[5, "id"] = train.loc[4, "id"]
    save(folder, train=train, test=test, sample_submission=sample)
    message = refusal(tmp_path, folder, capsys)
    assert 'numbers the rows (init: --id "(row number)")' in message
    lines = submission(tmp_path, folder, "--id", "(row number)")
    assert [line[0] for line in lines[1:]] == test["id"].tolist()


@pytest.mark.parametrize(
    ("sheets", "flags"),
    [
        (["train", "test", "sample_submission"], []),
        nightly(
            ["labelled", "2024", "form"],
            ["--train", "all.xlsx#labelled", "--test", "all.xlsx#2024"],
        ),
    ],
    ids=["called so", "named"],
)
def test_sheets_of_one_workbook_are_tables(tmp_path, capsys, sheets, flags):
    folder = tmp_path / "data"
    frames = competition(folder)
    with pd.ExcelWriter(folder / "all.xlsx") as book:
        pd.DataFrame({"About": ["the rows"]}).to_excel(book, sheet_name="README")
        for name, frame in zip(sheets, frames, strict=True):
            frame.to_excel(book, sheet_name=name, index=False)
    if flags:
        message = refusal(tmp_path, folder, capsys)
        assert "name one as 'all.xlsx#README'" in message
    lines = submission(tmp_path, folder, *flags)
    assert [line[1] for line in lines[1:]] == ["money", "art", "state"] * 4
    config = (tmp_path / "configs" / "topics.yaml").read_text(encoding="utf-8")
    assert f'test: "data/all.xlsx#{sheets[1]}"' in config
    (provenance,) = (tmp_path / "submissions").glob("*.json")
    assert len(json.loads(provenance.read_text())["files"][f"data/all.xlsx#{sheets[0]}"]) == 64


@pytest.mark.nightly
def test_a_sheet_that_is_not_there_is_named_with_those_that_are(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    save(folder, test=test)
    train.to_excel(folder / "all.xlsx", sheet_name="labelled", index=False)
    message = refusal(tmp_path, folder, capsys, "--train", "all.xlsx#labeled")
    assert "all.xlsx has no sheet 'labeled'; it has labelled" in message
    assert len(submission(tmp_path, folder, "--train", "all.xlsx#labelled")) == 13


@pytest.mark.nightly
def test_a_label_without_rows_is_refused_by_init_and_both_ways_out_work(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    marks = {name: (train["topic"] == name).astype(int) for name in ("money", "art")}
    train = train.drop(columns="topic").assign(**marks, threat=0)
    sample = sample.drop(columns="topic").assign(money=0.5, art=0.5, threat=0.5)
    save(folder, train=train, test=test, sample_submission=sample)
    arguments = [str(folder), "--root", str(tmp_path), "--name", "topics"]
    assert run(init.main, arguments) == 3
    assert "has no row of label 'threat' = 1" in capsys.readouterr().err
    assert not (tmp_path / "configs").exists()
    lines = submission(tmp_path, folder, "--target", "money", "--target", "art")
    assert {line[3] for line in lines[1:]} == {"0.5"}, "kept as the sample has it"
    train.loc[[3, 4, 11], "threat"] = 1
    save(folder, train=train)
    assert run(init.main, [*arguments, "--force"]) == 0
