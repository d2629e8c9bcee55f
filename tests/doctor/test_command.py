"""`python -m pipeline.doctor` as a person runs it."""

import json
import shutil

import pytest

from pipeline.base.command import run
from pipeline.base.files import sha256
from pipeline.cv import main as cv
from pipeline.doctor.__main__ import main
from tests.sound import OOF, RUN, SUBMISSION, examine, sound, spoil


@pytest.fixture
def root(tmp_path):
    return sound(tmp_path)


def contents(root):
    return {path: sha256(path) for path in sorted(root.rglob("*")) if path.is_file()}


def test_what_the_commands_leave_behind_is_consistent(root, capsys):
    assert run(main, ["--root", str(root)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "toy"
    assert [" ".join(line.split()) for line in out[1:4]] == [
        f"folds 60 rows in 4 folds, digest {out[1].split('digest ')[1].split()[0]} whole",
        "run linear 4 of 4 folds, run.json, weights of 4 whole",
        "submissions 1 file whole",
    ]
    assert out[4:] == ["", "consistent"]


def test_a_problem_is_told_on_two_lines_with_its_remedy_and_exit_code_5(root, capsys):
    spoil(root / OOF / "fold-1.npz")
    (root / RUN.parent / "mine.txt").write_text("")
    assert run(main, ["--root", str(root)]) == 5
    out = capsys.readouterr().out.splitlines()
    assert "3 of 4 folds" in out[2]
    assert out[2].endswith("1 problem, 1 note")
    place = out.index("1 problem: damaged or not matching")
    assert out[place + 1].startswith(f"  {root / OOF}/fold-1.npz has changed since it was written")
    assert out[place + 2] == (
        "      → Restore both files of the fold (git, or a teammate's copy); or delete "
        f"{root / OOF}/fold-1.npz and fold-1.json, then run: python -m pipeline.cv --root {root} "
        "--config configs/toy.yaml --model linear (fold 1 (seed 42) of run linear is trained "
        "again, under a minute)."
    )
    assert "1 note: harmless, good to know" in out
    assert out[-1] == "not consistent: 1 problem, 1 note"


def test_the_remedy_mends_it(root, capsys):
    spoil(root / OOF / "fold-1.npz")
    (problem,) = examine(root).problems
    (root / OOF / "fold-1.npz").unlink()
    (root / OOF / "fold-1.json").unlink()
    command = problem["todo"].split("then run: ")[1].split(" (fold")[0]
    words = command.removeprefix("python -m pipeline.cv ").split()
    assert len(words) + 3 == len(command.split())
    words[words.index("--root") + 1] = str(root)
    assert run(cv, words) == 0
    assert examine(root).code == 0


def test_it_changes_nothing(root):
    spoil(root / OOF / "fold-1.npz")
    (root / OOF / "fold-2.json").unlink()
    before = contents(root)
    examine(root)
    assert contents(root) == before


def test_everything_wrong_is_told_at_once(root):
    spoil(root / OOF / "fold-1.npz")
    spoil(root / SUBMISSION)
    (root / "folds" / "toy.csv").unlink()
    paths = {problem["path"] for problem in examine(root).problems}
    assert paths == {f"{OOF}/fold-1.npz", str(SUBMISSION), "folds/toy.csv"}


def test_quick_hashes_nothing_but_sees_what_is_cut_off(root, monkeypatch, capsys):
    spoil(root / OOF / "fold-1.npz")
    assert examine(root).code == 5
    monkeypatch.setattr("hashlib.file_digest", None)
    assert examine(root, "--quick").code == 0
    run(main, ["--root", str(root), "--quick"])
    assert capsys.readouterr().out.endswith("consistent; nothing was hashed (--quick)\n")
    path = root / OOF / "fold-1.npz"
    path.write_bytes(path.read_bytes()[:-9])
    (problem,) = examine(root, "--quick").problems
    assert problem["path"] == f"{OOF}/fold-1.npz"
    assert problem["what"].startswith("is cut off or damaged")


def copy_of_toy(root, name):
    """A second competition with the same files."""
    shutil.copytree(root / "oof" / "toy", root / "oof" / name)
    for suffix in (".csv", ".json"):
        shutil.copy(root / "folds" / f"toy{suffix}", root / "folds" / f"{name}{suffix}")
    path = root / "oof" / name / "linear" / "run.json"
    path.write_text(path.read_text().replace('"competition": "toy"', f'"competition": "{name}"'))


def test_filters_look_at_what_they_name(root):
    copy_of_toy(root, "second")
    shutil.copytree(root / "oof/toy/linear", root / "oof/toy/other")
    spoil(root / SUBMISSION)
    assert {section["competition"] for section in examine(root).sections} == {"toy", "second"}
    second = examine(root, "--competition", "second")
    assert second.code == 0
    assert [each["subject"] for each in second.sections] == ["folds", "run linear"]
    linear = examine(root, "--competition", "toy", "--run", "linear")
    assert linear.code == 0
    assert [each["subject"] for each in linear.sections] == ["folds", "run linear"]
    assert examine(root, "--competition", "toy").code == 5


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--competition", "tyo"], "there is no competition tyo; there are: toy"),
        (["--run", "lienar"], "there is no run lienar; there are: linear"),
        (["--rot", "x"], "did you mean 'root'?"),
    ],
)
def test_a_name_that_is_not_there_is_a_mistake_of_the_command_line(root, capsys, argv, message):
    assert run(main, ["--root", str(root), *argv]) == 2
    assert message in capsys.readouterr().err


def test_a_root_that_is_not_there_and_one_with_nothing_in_it(tmp_path, capsys):
    assert run(main, ["--root", str(tmp_path / "no")]) == 2
    assert f"there is no folder {tmp_path / 'no'}" in capsys.readouterr().err
    assert run(main, ["--root", str(tmp_path)]) == 0
    assert "there is nothing to look at" in capsys.readouterr().out


JSONS = [
    "folds/toy.json",
    str(RUN),
    f"{OOF}/fold-1.json",
    "runs/toy/linear/seed-42/fold-1/weights/linear.json",
    str(SUBMISSION.with_suffix(".json")),
]
ODD = [None, True, -1, 10**30, "\x1b[31mtext", [], [None], [[1, "a"]], {}, {"a": {"b": None}}]


@pytest.mark.parametrize("name", JSONS)
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 9999, b"{}"])
def test_a_file_that_holds_anything_else_is_a_problem_and_never_a_traceback(root, name, content):
    (root / name).write_bytes(content)
    assert name in {problem["path"] for problem in examine(root).problems}


@pytest.mark.parametrize("name", JSONS)
def test_any_value_in_any_field_is_survived(root, name):
    whole = json.loads((root / name).read_text())
    for place, field in enumerate(whole):
        (root / name).write_text(json.dumps(whole | {field: ODD[place % len(ODD)]}))
        assert examine(root).code in (0, 5)
        (root / name).write_text(json.dumps({key: whole[key] for key in whole if key != field}))
        assert examine(root).code in (0, 5)


def test_a_config_and_its_fields_are_held_against_what_lies_there(root, capsys):
    given = ["--root", str(root), "--config", "toy"]
    assert run(main, given) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "toy"
    assert " ".join(out[1].split()).startswith("config regression, pearson")
    assert out[-1] == "consistent"
    assert run(main, [*given, "--folds.count", "5", "--data.test", "gone.csv"]) == 5
    out = capsys.readouterr().out
    assert "does not fit the config: folds.count was 4 when the folds were frozen" in out
    assert f"{root / 'gone.csv'} is named in the config and is not there" in out
    assert run(main, [*given, "--name", "another"]) == 0, "nothing was trained by it yet"
    assert run(main, ["--root", str(root), "--folds.count", "5"]) == 2
    assert "There are: toy." in capsys.readouterr().err
