"""python -m pipeline.init, from a folder of files to a config and a look at them."""

import io
import json
import os
from pathlib import Path

import pytest

from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.parser import Parser, read_section
from pipeline.init import default_name, main
from tests.setup import competitions as kinds

HERE = Path(__file__).resolve()
SHARED = HERE.parents[1].parent / "shared" / "data"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The current folder, with a competition under data/disaster."""
    monkeypatch.chdir(tmp_path)
    kinds.disaster(tmp_path / "data" / "disaster")
    return tmp_path


def test_it_writes_a_config_that_the_other_commands_read(root, capsys):
    assert main(["data/disaster"]) == 0
    parser = Parser("cv", "")
    parser.add_competition()
    competition = parser.competition(parser.read(["--config", "configs/disaster.yaml"]))
    assert competition.name == "disaster"
    assert competition.data.train == "data/disaster/train.csv"
    assert competition.columns.features == ["keyword", "location"]
    last = capsys.readouterr().out.rstrip().split("\n")[-1]
    train = "python -m pipeline.cv --config configs/disaster.yaml"
    assert last == f"  {train} --model linear --model naive-bayes"


def test_every_choice_has_its_reason_in_the_config(root):
    main(["data/disaster", "--folds", "4", "--seed", "7"])
    text = Path("configs/disaster.yaml").read_text()
    for line in (
        "  # The sample submission shows classes. A guess: check the rules.\n"
        "  # Fitting: auc, accuracy, f1,",
        "  # 'target' has two values.\n  # Possible: regression, binary,",
        "  # Negative, positive.\n",
        "  count: 4\n  seed: 7\n",
    ):
        assert line in text
    assert max(map(len, text.split("\n"))) <= 100


def test_what_was_chosen_and_seen_is_printed(root, capsys):
    main(["data/disaster"])
    out = capsys.readouterr().out
    assert "configs/disaster.yaml is written. What was chosen, and why:" in out
    assert "  texts               text   (It holds the text in train and in test.)" in out
    assert "train" in out.split("(It holds")[1]  # the inspection follows


def test_json_is_one_object_with_config_choices_and_inspection(root, capsys):
    assert main(["data/disaster", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"] == "configs/disaster.yaml"
    assert found["competition"]["task"]["metric"] == "f1"
    assert found["reasons"]["task.problem"] == "'target' has two values."
    assert found["inspection"]["rows"]["train"] == kinds.N
    assert found["notes"] == []


def test_an_existing_config_is_overwritten_only_by_force(root, capsys):
    config = root / "configs" / "disaster.yaml"
    config.parent.mkdir()
    config.write_text("mine")
    assert run(main, ["data/disaster"]) == 2
    assert capsys.readouterr().err == (
        "error: configs/disaster.yaml is there already. --force overwrites it, --name writes "
        "another one.\n"
    )
    assert config.read_text() == "mine"
    assert main(["data/disaster", "--force"]) == 0
    assert "name: disaster" in config.read_text()
    assert main(["data/disaster", "--name", "other"]) == 0
    assert (root / "configs" / "other.yaml").exists()


def test_flags_decide(root):
    texts = ["--text", "location", "--text", "text"]
    main(["data/disaster", "--metric", "accuracy", *texts, "--name", "flags"])
    found = read_section(Competition, root / "configs" / "flags.yaml")
    assert found.task.metric == "accuracy"
    assert found.columns.texts == ["location", "text"]
    assert found.columns.features == ["keyword"]


def test_paths_are_written_so_that_they_are_found_from_the_root(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    main(["data/disaster", "--root", str(elsewhere)])
    relative = read_section(Competition, elsewhere / "configs" / "disaster.yaml").data.train
    assert relative == os.path.relpath(root / "data/disaster/train.csv", elsewhere)
    main([str(root / "data/disaster"), "--root", str(elsewhere), "--force"])
    absolute = read_section(Competition, elsewhere / "configs" / "disaster.yaml").data.train
    assert absolute == str(root / "data/disaster/train.csv")
    main([str(root / "data/disaster")])
    inside = read_section(Competition, root / "configs" / "disaster.yaml").data.train
    assert inside == "data/disaster/train.csv"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["nowhere"], 2, "there is no folder nowhere"),
        (["data/disaster", "--metric", "f2"], 2, "there is no metric 'f2'"),
        (["data/disaster", "--metric", "rmse"], 2, "does not fit a binary problem"),
        (["data/disaster", "--traget", "x"], 2, "did you mean 'target'"),
        (["data/disaster", "--problem", "quiz"], 2, "quiz"),
        (["data/disaster", "--folds", "1"], 2, "folds.count is 1; it must be at least 2"),
        (["data/disaster", "--train", "x.csv"], 2, "--train x.csv: there is no such file in"),
    ],
)
def test_a_mistake_gets_a_sentence_and_nothing_is_written(root, capsys, options, code, message):
    assert run(main, options) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert not (root / "configs").exists()


def test_bad_data_ends_with_3_and_writes_no_config(root, capsys):
    with (root / "data/disaster/train.csv").open("a") as stream:
        stream.write("7,,,again,1\n8,,,x,\n")
    assert run(main, ["data/disaster"]) == 3
    error = capsys.readouterr().err
    assert "train.csv: ids that stand more than once: 7 (2 times), 8 (2 times)" in error
    assert "train.csv: column 'target': no label: id 8" in error
    assert not (root / "configs").exists()


def test_notes_on_the_files_are_printed(root, capsys):
    path = root / "data" / "disaster" / "sample_submission.csv"
    path.write_text(path.read_text().replace(",", ";"))
    main(["data/disaster"])
    noted = "sample_submission.csv: fields are separated by a semicolon, not by a comma"
    assert noted in capsys.readouterr().out


def test_a_korean_competition_is_printed_where_the_terminal_cannot_write_it(root, monkeypatch):
    kinds.topic_words(root / "data" / "주제")
    said = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
    monkeypatch.setattr("sys.stdout", said[0])
    monkeypatch.setattr("sys.stderr", said[1])
    assert run(main, ["data/주제", "--name", "topics"]) == 0
    said[0].flush()
    assert b"topics.yaml" in said[0].buffer.getvalue()
    assert read_section(Competition, root / "configs" / "topics.yaml").task.classes[0] == "경제"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("data/klue-sts", "klue-sts"),
        ("My Competition (2024)", "My-Competition-2024"),
        ("..a", "a"),
        ("주제", "run-"),
    ],
)
def test_the_default_name_is_the_folder_as_a_safe_file_name(folder, name):
    assert default_name(Path(folder)).startswith(name)


@pytest.mark.skipif(not SHARED.exists(), reason="the practice competitions are not beside the code")
@pytest.mark.parametrize(
    ("folder", "texts", "target", "problem", "metric", "holdout"),
    [
        ("klue-sts", ["sentence_1", "sentence_2"], "label", "regression", "pearson", 1),
        ("stsb-en", ["sentence1", "sentence2"], "score", "regression", "pearson", 1),
        ("ynat", ["title"], "topic", "multiclass", "macro-f1", 0),
        ("nsmc", ["document"], "label", "binary", "auc", 0),
    ],
)
def test_the_practice_competitions_are_understood(folder, texts, target, problem, metric, holdout):
    from pipeline.setup.detection.detect import Overrides, detect

    found = detect(SHARED / folder, Overrides(), lambda path: path.name).competition
    assert (found.columns.texts, found.columns.targets) == (texts, [target])
    assert (found.task.problem, found.task.metric) == (problem, metric)
    assert found.data.holdout == ["dev.csv"] * holdout


@pytest.mark.skipif(not SHARED.exists(), reason="the practice competitions are not beside the code")
def test_a_competition_of_tags_is_understood(root):
    from pipeline.setup.detection.detect import Overrides, detect

    found = detect(SHARED / "klue-ner", Overrides(), lambda path: path.name).competition
    assert (found.columns.texts, found.columns.targets) == (["tokens"], ["tags"])
    assert (found.task.problem, found.task.metric) == ("tags", "entity-f1")
    assert found.task.classes[:3] == ["O", "B-DT", "I-DT"]


@pytest.mark.parametrize("names", [["low", "medium", "high"], ["2", "10", "30"]])
def test_ordinal_classes_stand_in_an_order_that_somebody_gave(tmp_path, capsys, names):
    """Sorted as words, medium would be the highest."""
    rows = [f"r{row},text of {row % 7} and {row},{names[row % 3]}" for row in range(60)]
    files = {"train": ["id,text,level", *rows], "sample_submission": ["id,level"]}
    files["test"] = ["id,text", *(f"t{row},another {row}" for row in range(20))]
    files["sample_submission"] += [f"t{row},{names[0]}" for row in range(20)]
    for name, lines in files.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    asked = ["--root", str(tmp_path), str(tmp_path / "in"), "--problem", "multiclass"]
    asked += ["--metric", "qwk"]
    if names[0] == "low":
        assert run(main, asked) == 2
        assert "--classes LOWEST … HIGHEST" in capsys.readouterr().err
        assert not (tmp_path / "configs").exists()
        asked += ["--classes", *names]
    assert run(main, asked) == 0
    config = read_section(Competition, tmp_path / "configs" / "in.yaml")
    assert list(config.task.classes) == names


def test_a_root_that_is_not_there_yet_is_made(root):
    assert main(["data/disaster", "--root", "new/root"]) == 0
    assert (root / "new" / "root" / "configs" / "disaster.yaml").exists()
