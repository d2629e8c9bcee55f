"""As in `test_remedies`, of what the commands after init say.

A case is a command with what is wrong, the words of the remedy, and the same with the remedy in its
place.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import cv, init
from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from pipeline.folds import __main__ as folds
from pipeline.team import __main__ as team
from tests.blendable import Toy, make
from tests.setup.test_remedies import TEST, TRAIN
from tests.setup.test_remedies_of_runs import LINEAR, asking, learned, root, told
from tests.team.files import predictions, send
from tests.test_shapes import competition, save
from tests.tiny import tiny_backbone

__all__ = ["learned", "root"]
Run = Callable[[list[str]], int]
DRY = "--model linear --dry-run"
CV = [
    ("--dry-run", "--model is missing: which model? Recipes: ", DRY),
    (f"{DRY} --only-fold 3", "the folds are 0 to 2", f"{DRY} --only-fold 2"),
    (f"{DRY} --workers 0", "--workers 0: expected 1 or more", f"{DRY} --workers 1"),
    (f"{DRY} --workers-per-gpu 0", "-gpu 0: expected 1 or more", f"{DRY} --workers-per-gpu 1"),
    (f"{DRY} --cluster x --workers 2", "--cluster and --workers exclude", f"{DRY} --workers 2"),
    (
        f"{DRY} --cluster-cpus 0",
        "-cpus 0: expected more than 0",
        f"{DRY} --cluster-cpus 1",
    ),
    (
        f"{DRY} --cluster-gpus -1",
        "-gpus -1: expected 0 or more",
        f"{DRY} --cluster-gpus 0",
    ),
    (f"{DRY} --min-free-gb -1", "--min-free-gb -1: expected 0 or more", f"{DRY} --min-free-gb 0"),
    (f"{DRY} --notify '\"'", "Expected a command and its words", f"{DRY} --notify true"),
    (
        f"{DRY} --notify no-such-1",
        "Expected one that can be started",
        f"{DRY} --notify true",
    ),
    (f"{DRY} --set strenths=[1.0]", "did you mean", f"{DRY} --set strengths=[1.0]"),
    (f"{DRY} --folds.count 1", "folds.count is 1; it must be at least 2", f"{DRY} --folds.count 3"),
    (f"{DRY} --task.metric auk", "did you mean 'auc'?", f"{DRY} --task.metric auc"),
    ("--model linaer --dry-run", "linear", DRY),
    (
        f"{DRY} --set 'pseudo={{rows: \"\"}}'",
        "pseudo.rows is empty; expected test, or a file",
        f"{DRY} --set 'pseudo={{rows: test}}'",
    ),
    (
        f"{DRY} --submissions.per_day 0",
        "submissions.per_day is 0; it must be at least 1",
        f"{DRY} --submissions.per_day 1",
    ),
    (
        f"{DRY} --submissions.until 31.3.2026",
        "; write it as 2026-03-31",
        f"{DRY} --submissions.until 2026-03-31",
    ),
    (
        f"{DRY} --submissions.public_share 30",
        "it must be above 0, at most 1",
        f"{DRY} --submissions.public_share 0.3",
    ),
]
BLEND = [
    ("--figure x.gif", "expected a name that ends in .png, .svg or .pdf", ""),
    ("--submit", "--submit sends a file and --dry-run writes none", ""),
    ("--slice-by title", "no such column among columns.features", ""),
    ("--method slices", "slices needs a column of train and test with 2 to 20 values", ""),
    ("--method rigde", "ridge", "--method ridge"),
    ("--method length", "it counts the characters of texts", "--method mean"),
    ("--runs linaer", "linear", "--runs linear"),
]


def split(line: str) -> list[str]:
    """As a shell does; what stands in single quotes stays as it is."""
    return [bare or quoted for quoted, bare in re.findall(r"'([^']*)'|(\S+)", line)]


@pytest.mark.parametrize(("asked", "said", "remedy"), CV, ids=[each[0] for each in CV])
def test_cv_says_what_to_say(learned, capsys, asked, said, remedy):
    """Nothing is trained or written."""
    assert run(cv.main, [*asking(learned), *split(asked)]) == 2
    assert said in told(capsys)
    assert run(cv.main, [*asking(learned), *split(remedy)]) == 0, told(capsys)


@pytest.mark.parametrize(("asked", "said", "remedy"), BLEND, ids=[each[0] for each in BLEND])
def test_ensemble_says_what_to_say(learned, capsys, asked, said, remedy):
    assert run(ensemble.main, [*asking(learned), "--dry-run", *split(asked)]) in (2, 3, 5)
    assert said in told(capsys)
    assert run(ensemble.main, [*asking(learned), "--dry-run", *split(remedy)]) == 0, told(capsys)


@pytest.mark.parametrize("main", [folds.main, ensemble.main], ids=["folds", "ensemble"])
def test_a_config_that_is_not_there_is_named(learned, capsys, main):
    assert run(main, ["--root", str(learned)]) == 2
    message = told(capsys)
    assert ". Name one: --config" in message
    (flags,) = re.findall(r"Name one: (--config \w+)", message)
    more = ["--dry-run"] if main is ensemble.main else []
    assert run(main, ["--root", str(learned), *flags.split(), *more]) == 0, told(capsys)


def test_the_encoding_of_a_files_rows_is_said_in_the_config(root, capsys):
    path = root / "data" / TEST
    korean = path.read_text(encoding="utf-8").replace("market", "시장")
    path.write_bytes(korean.encode("cp949"))
    assert run(folds.main, asking(root)) == 3
    message = told(capsys)
    (flags,) = re.findall(r"(--data\.encoding cp949) \(in the config", message)
    (root / "data" / TRAIN).write_text((root / "data" / TRAIN).read_text(), encoding="cp949")
    assert run(folds.main, [*asking(root), *flags.split()]) in (0, 5), told(capsys)


def test_a_recipe_that_changed_is_set_back_trained_anew_or_gets_another_name(root, capsys):
    mine = root / "configs" / "models" / "mine.yaml"
    mine.parent.mkdir(parents=True, exist_ok=True)
    before = "learner: linear\n"
    mine.write_text(before)
    asked = [*asking(root), "--model", "mine"]
    assert run(cv.main, asked) == 0, told(capsys)
    for remedy in ("set back", "another name", "anew"):
        mine.write_text(before + "strengths: [1.0]\n")
        assert run(cv.main, asked) == 5
        message = told(capsys)
        assert "Set them back, or train anew with --fresh" in message
        assert "or give the recipe another name to keep both" in message
        if remedy == "set back":
            mine.write_text(before)
            assert run(cv.main, asked) == 0
        elif remedy == "another name":
            mine.with_name("other.yaml").write_text(mine.read_text())
            assert run(cv.main, [*asking(root), "--model", "other", "--dry-run"]) == 0
        else:
            assert run(cv.main, [*asked, "--fresh"]) == 2
            assert "would delete the finished folds of mine; add --yes" in told(capsys)
            assert run(cv.main, [*asked, "--fresh", "--yes"]) == 0


@pytest.mark.nightly
def test_a_backbone_without_its_config_is_saved_whole(root, capsys):
    folder = root / "models" / "tiny"
    folder.mkdir(parents=True)
    asked = [*asking(root), "--model", str(folder), "--dry-run"]
    assert run(cv.main, asked) == 2
    assert "is a folder without config.json. Expected a backbone as" in told(capsys)
    tiny_backbone(folder, [(root / "data" / "train.csv").read_text(encoding="utf-8")])
    assert run(cv.main, asked) == 0, told(capsys)


@pytest.mark.parametrize("harm", ["another format", "other folds"])
def test_a_run_that_does_not_fit_is_trained_again(root, capsys, harm):
    manifest = root / "oof" / "topics" / "linear" / "run.json"
    content = json.loads(manifest.read_text())
    if harm == "another format":
        manifest.write_text(json.dumps(content | {"format": 99}))
        remedy = "or train the model again (--fresh)"
    else:
        manifest.write_text(json.dumps(content | {"passport": "0" * 64}))
        remedy = "Train linear again on today's folds (--fresh)"
    assert run(ensemble.main, [*asking(root), "--dry-run"]) == 5
    assert remedy in told(capsys)
    if harm == "other folds":  # another run is as it should be
        shutil.copytree(manifest.parent, manifest.parents[1] / "other")
        (manifest.parents[1] / "other" / "run.json").write_text(json.dumps(content))
        assert run(ensemble.main, [*asking(root), "--dry-run"]) == 5
        message = told(capsys)
        assert ", or leave out linear: --runs other" in message
        assert run(ensemble.main, [*asking(root), "--dry-run", "--runs", "other"]) == 0
    assert run(cv.main, [*asking(root), *LINEAR, "--fresh", "--yes"]) == 0, told(capsys)
    assert run(ensemble.main, [*asking(root), "--dry-run"]) == 0, told(capsys)


# A team-mate's file.


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    made = make(tmp_path_factory.mktemp("team"), "binary", "auc", n=80)
    made.add_run("m0", 0.8, seed=0)
    return made


def add(toy: Toy, *more: str) -> int:
    return run(team.main, ["add", *more, "--root", str(toy.root), "--config", "toy", "--dry-run"])


def logits(toy: Toy) -> Path:
    values = {name: 9 * each - 4 for name, each in predictions(toy).items()}
    return send(toy, values, name="logits.csv")


def renamed(toy: Toy) -> Path:
    path = send(toy, name="renamed.csv")
    path.write_text("row" + path.read_text().removeprefix("id"))
    return path


def two_folds(toy: Toy) -> Path:
    path = send(toy, name="folds.csv")
    header, *rows = path.read_text().splitlines()
    more = [f"{row},{row.split(',')[1]}" for row in rows]
    path.write_text("\n".join([f"{header},cv_fold", *more, ""]))
    return path


def train_alone(toy: Toy) -> Path:
    send(toy, files=("test",), fold=False, name="their-test.csv")
    return send(toy, files=("train",), name="their-train.csv")


ADDED: list[tuple[Callable[[Toy], Path], str, str, str]] = [
    (send, "--name m0", "Choose another --name, such as m0-2", "--name m0-2"),
    (send, "--name ''", "--name is empty; give the run a name", "--name anna-deberta"),
    (send, "--name x --logits --probabilities", "contradict each other: say one", "--name x"),
    (send, "--name x --logits", "Leave the flag out, or write logits into both", "--name x"),
    (logits, "--name x", "(raw outputs of a model), say --logits", "--name x --logits"),
    (two_folds, "--name x", "Name one: --fold COLUMN", "--name x --fold fold"),
    (
        train_alone,
        "--name x",
        "If they are in a file of their own, name it: --test FILE",
        "--name x --test their-test.csv",
    ),
]


@pytest.mark.parametrize(("file", "asked", "said", "remedy"), ADDED, ids=[x[2] for x in ADDED])
def test_team_add_says_what_to_say(toy, capsys, monkeypatch, file, asked, said, remedy):
    monkeypatch.chdir(toy.root)
    path = str(file(toy))
    assert add(toy, path, *split(asked)) in (2, 3)
    printed = capsys.readouterr()
    assert said in " ".join((printed.err + printed.out).split())
    assert add(toy, path, *split(remedy)) == 0, capsys.readouterr().err


def test_a_column_of_ids_of_another_name_is_named(toy, capsys):
    path = renamed(toy)
    path.write_text(path.read_text().replace("row,", "row,code,", 1).replace("\ntr", "\ntr,tr"))
    lines = path.read_text().splitlines()
    rows = [f"{line.split(',')[0]},{line}" for line in send(toy).read_text().splitlines()[1:]]
    path.write_text("\n".join([lines[0], *rows, ""]))
    assert add(toy, str(path), "--name", "x") == 3
    message = told(capsys)
    assert "Name the one with the ids: --id COLUMN" in message
    send(toy, name="renamed.csv")
    path = renamed(toy)
    assert add(toy, str(path), "--name", "x", "--id", "row") == 0, told(capsys)


@pytest.mark.parametrize("remedy", ["another name", "replace", "doctor"])
def test_a_name_that_is_taken_and_a_file_that_is_there(tmp_path, capsys, remedy):
    toy = make(tmp_path, "binary", "auc", n=80)
    toy.add_run("m0", 0.8, seed=0)
    where = ["--root", str(tmp_path), "--config", "toy"]
    other = predictions(toy, noise=0.9)
    assert run(team.main, ["add", str(send(toy)), "--name", "anna", *where]) == 0
    if remedy == "doctor":
        harmed = next((tmp_path / "oof" / "toy" / "anna").rglob("fold-0.npz"))
        harmed.write_bytes(b"PK")
        asked = [*where, "--run", "anna"]
        assert run(doctor.main, asked) == 5
        page = " ".join(capsys.readouterr().out.split())
        assert f"or delete {harmed} and fold-0.json, then run" in page
        (line,) = set(re.findall(r"pipeline\.team add FILE (--name anna --replace)", page))
        for file in (harmed, harmed.with_suffix(".json")):
            file.unlink()
        assert run(team.main, ["add", str(send(toy)), *line.split(), *where]) == 0
        assert run(doctor.main, asked) == 0, capsys.readouterr().out
        return
    path = send(toy, other, name="other.csv")
    assert run(team.main, ["add", str(path), "--name", "anna", *where]) == 2
    assert "put this one in its place with --replace" in told(capsys)
    flags = ["--name", "anna", "--replace"] if remedy == "replace" else ["--name", "berta"]
    assert run(team.main, ["add", str(path), *flags, *where]) == 0, told(capsys)
    out = tmp_path / "m0.csv"
    out.write_text("other")
    export = ["export", "m0", *where, "--out"]
    (tmp_path / "folder.csv").mkdir()
    assert run(team.main, [*export, str(tmp_path / "folder.csv")]) == 2
    assert "is a folder; name a file in it" in told(capsys)
    assert run(team.main, [*export, str(tmp_path / "folder.csv" / "m0.csv")]) == 0
    assert run(team.main, [*export, str(tmp_path / "m0.txt")]) == 2
    assert "m0.txt must end in .csv" in told(capsys)
    assert run(team.main, [*export, str(out)]) == 2
    assert "--replace overwrites it" in told(capsys)
    asked = ["challenge", "anna", *where, "--out"]
    assert run(team.main, [*asked, str(out)]) == 2
    assert "is there already with other content; name another with --out" in told(capsys)
    assert run(team.main, [*asked, str(tmp_path / "questions.csv")]) == 0, told(capsys)
    assert run(team.main, [*export, str(out), "--replace"]) == 0, told(capsys)


def test_a_run_in_doubt_is_blended_with_equal_weights_or_by_force(tmp_path, capsys):
    toy = make(tmp_path, "binary", "auc", n=80)
    toy.add_run("m0", 0.8, seed=0)
    where = ["--root", str(tmp_path), "--config", "toy"]
    assert run(team.main, ["add", str(send(toy, fold=False)), "--name", "anna", *where]) == 0
    capsys.readouterr()
    assert run(ensemble.main, [*where, "--dry-run", "--json"]) == 0
    assert " (--force blends it)" in capsys.readouterr().out
    blend = [*where, "--dry-run", "--runs", "m0", "anna"]
    assert run(ensemble.main, blend) == 2
    message = told(capsys)
    assert "--method mean takes it: equal weights need no proof of folds" in message
    assert "--force blends it all the same" in message
    for remedy in ("--method mean", "--force"):
        assert run(ensemble.main, [*blend, *remedy.split()]) == 0, told(capsys)


def test_what_is_out_is_stored_by_force_unless_rows_are_missing(tmp_path, capsys):
    toy = make(tmp_path, "binary", "auc", n=80)
    toy.add_run("m0", 0.8, seed=0)
    where = ["--name", "anna", "--root", str(tmp_path), "--config", "toy"]
    short = str(send(toy, edit=lambda lines: lines[1:], name="short.csv"))
    assert run(team.main, ["add", short, *where, "--force"]) == 3
    page = " ".join(capsys.readouterr().out.split())
    assert "and --force cannot store it: rows or numbers are missing" in page
    labels = str(send(toy, {file: toy.truth[file] for file in toy.truth}, name="truth.csv"))
    assert run(team.main, ["add", labels, *where]) == 3
    page = " ".join(capsys.readouterr().out.split())
    assert "; --force stores it all the same, and run.json says so" in page
    assert run(team.main, ["add", labels, *where, "--force"]) == 0
    assert run(team.main, ["add", str(send(toy)), *where, "--replace"]) == 0, "all rows"


@pytest.mark.parametrize("problem", ["regression", "multiclass"])
def test_numbers_of_another_kind_are_said_or_mended(tmp_path, capsys, problem):
    toy = make(tmp_path, problem, "rmse" if problem == "regression" else "log-loss", n=80,
               sample=(["label"], ["art"]) if problem == "multiclass" else None)  # fmt: skip
    toy.add_run("m0", 0.8, seed=0)
    if problem == "regression":
        assert add(toy, str(send(toy)), "--name", "x", "--probabilities") == 2
        assert "in the label's unit. Leave the flag out" in told(capsys)
        assert add(toy, str(send(toy)), "--name", "x") == 0
        given = {name: each - 2.5 for name, each in predictions(toy).items()}
        asked = [str(send(toy, given)), "--name", "x", "--logits"]
        assert add(toy, *asked) == 2
        assert "does not tell these: set it, such as [0, 5]" in told(capsys)
        config = tmp_path / "configs" / "toy.yaml"
        config.write_text(config.read_text().replace("task:\n", "task:\n  label_range: [0, 5]\n"))
        toy.competition = read_section(Competition, config)
        assert add(toy, *asked) == 0, told(capsys)
        return
    given = {name: each**0.5 for name, each in predictions(toy).items()}
    assert add(toy, str(send(toy, given)), "--name", "x") == 3
    printed = capsys.readouterr()
    assert "Divide each row by its sum" in " ".join((printed.out + printed.err).split())
    shares = {name: each / each.sum(axis=1, keepdims=True) for name, each in given.items()}
    assert add(toy, str(send(toy, shares)), "--name", "x") == 0
    logits = {name: np.log(each) for name, each in predictions(toy).items()}
    assert add(toy, str(send(toy, logits)), "--name", "x", "--logits") == 0, told(capsys)


def test_a_table_beside_the_rows_that_lacks_some_gets_them_or_is_left_out(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    prompts = pd.DataFrame({"prompt_id": ["p0", "p1", "p2"], "prompt": ["so long a", "b b", "c"]})
    for frame in (train, test):
        frame["prompt_id"] = [f"p{row % 3}" for row in range(len(frame))]
    save(folder, train=train, test=test, sample_submission=sample, prompts=prompts)
    asked = [str(folder), "--root", str(tmp_path), "--name", "topics"]
    assert run(init.main, asked) == 0, told(capsys)
    assert "prompts.csv" in (tmp_path / "configs" / "topics.yaml").read_text(encoding="utf-8")
    save(folder, prompts=prompts.head(2))
    assert run(folds.main, asking(tmp_path)) == 3
    assert "). Add their rows, or leave it out (init: --no-joins)" in told(capsys)
    save(folder, prompts=prompts)
    assert run(folds.main, asking(tmp_path)) == 0, told(capsys)
    save(folder, prompts=prompts.head(2))
    assert run(init.main, [*asked, "--no-joins", "--name", "alone"]) == 0, told(capsys)


ENTITY = "{{'word': 'Rome', 'start_idx': {0}, 'end_idx': {1}, 'type': 'LOC'}}"


def test_marks_that_are_no_place_in_the_text_are_mended_or_left_out(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    for frame in (train, test):
        frame["title"] = [f"in Rome {row} of {text}" for row, text in enumerate(frame["title"])]
        frame["place"] = ENTITY.format(3, 6)
    save(folder, train=train, test=test, sample_submission=sample)
    asked = [str(folder), "--root", str(tmp_path), "--name", "topics"]
    assert run(init.main, asked) == 0, told(capsys)
    assert "entities:" in (tmp_path / "configs" / "topics.yaml").read_text(encoding="utf-8")
    places = train["place"].where(train.index > 0, ENTITY.format(3, 999))
    save(folder, train=train.assign(place=places))
    assert run(folds.main, asking(tmp_path)) == 3
    message = told(capsys)
    assert "Mend them; or do without marks: take columns.entities out" in message
    (flags,) = re.findall(r"\(init: (--template '[^']*')\)", message)
    assert run(init.main, [*asked, "--force", *split(flags)]) == 0, told(capsys)
    save(folder, train=train)
    assert run(folds.main, asking(tmp_path)) == 0, told(capsys)
