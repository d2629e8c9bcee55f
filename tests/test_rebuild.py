import hashlib
import json

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.files import commit_json, read_json
from pipeline.ensemble.__main__ import main as ensemble
from pipeline.rebuild import main
from tests.submitted import FIRST, SECOND, THIRD, root, written

__all__ = ["root", "written"]


def call(root, *more):
    return run(main, ["--root", str(root), *more])


def edit(path, **changes):
    commit_json(path, read_json(path) | changes)


@pytest.mark.parametrize("name", [FIRST, SECOND, THIRD])
def test_the_same_bytes_are_made_again_and_nothing_is_written(root, capsys, name):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert call(root, name) == 0
    digest = hashlib.sha256((root / "submissions" / name).read_bytes()).hexdigest()
    assert f"the same bytes: SHA-256 {digest}" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_what_only_the_page_tells_is_not_found_anew(root, monkeypatch):
    def never(*_):
        raise AssertionError("neither the bytes nor the honest score need it")

    for name in (
        "assessment.contributions",
        "assessment.gain_over",
        "assessment.error_correlation",
        "outcome._over_simple",
        "outcome.forecast",
        "outcome.known_rows",
    ):
        monkeypatch.setattr(f"pipeline.ensemble.{name}", never)
    assert call(root, FIRST) == 0


def test_a_missing_file_is_written_again(root, capsys):
    csv = root / "submissions" / FIRST
    content = csv.read_bytes()
    csv.unlink()
    assert call(root, str(csv)) == 0
    assert csv.read_bytes() == content
    assert f"wrote {csv}" in capsys.readouterr().out


def test_out_names_a_file_or_a_folder_and_nothing_else_is_touched(root, tmp_path, capsys):
    content = (root / "submissions" / FIRST).read_bytes()
    assert call(root, FIRST, "--out", str(tmp_path / "again.csv")) == 0
    assert (tmp_path / "again.csv").read_bytes() == content
    assert call(root, FIRST, "--out", str(tmp_path), "--json") == 0
    assert (tmp_path / FIRST).read_bytes() == content
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (answer["same"], answer["written"]) == (True, str(tmp_path / FIRST))


def test_another_file_is_never_written_over(root, tmp_path, capsys):
    other = tmp_path / "mine.csv"
    other.write_text("mine")
    assert call(root, FIRST, "--out", str(other)) == 2
    assert "is there and is not this submission" in capsys.readouterr().err
    assert other.read_text() == "mine"


def test_a_config_changed_since_and_runs_added_since_have_no_say(root, capsys):
    config = root / "configs" / "toy.yaml"
    config.write_text(config.read_text().replace("pearson", "rmse"))
    (root / "oof" / "toy" / "m4").mkdir()
    for path in (root / "oof" / "toy" / "m3").rglob("*"):
        copy = root / "oof" / "toy" / "m4" / path.relative_to(root / "oof" / "toy" / "m3")
        copy.mkdir(exist_ok=True) if path.is_dir() else copy.write_bytes(path.read_bytes())
    assert call(root, FIRST) == 0
    config.unlink()
    assert call(root, FIRST) == 0


def test_the_automatic_choice_is_made_again(root, capsys):
    arguments = ["--root", str(root), "--config", "toy", "--runs", "m0", "m1", "m3"]
    assert run(ensemble, arguments) == 0
    (csv,) = (root / "submissions").glob("toy-004-*.csv")
    assert read_json(csv.with_suffix(".json"))["requested"] == "auto"
    assert call(root, csv.name) == 0


def test_everything_that_is_not_as_it_was_is_told_at_once(root, capsys):
    edit(root / "folds" / "toy.json", digests={"overall": "f" * 64})
    part = root / "oof" / "toy" / "m0" / "seed-42" / "fold-1.npz"
    part.write_bytes(part.read_bytes() + b"x")
    manifest = root / "oof" / "toy" / "m1" / "run.json"
    parts = read_json(manifest)["parts"]
    edit(manifest, parts=parts | {"seed-42/fold-2": "0" * 64})
    (root / "oof" / "toy" / "m2" / "run.json").unlink()
    (root / "data" / "sample.csv").unlink()
    assert call(root, FIRST) == 5
    message = capsys.readouterr().err
    for part_of_it in (
        f"{FIRST} cannot be made again:",
        "the folds are others: passport ffffffffffffffff today",
        "seed-42/fold-1.npz has changed since it was written",
        "run m1 was trained again since: seed-42/fold-2 differ from then",
        "run m2 cannot be read",
        "data/sample.csv is missing",
    ):
        assert part_of_it in message


def test_what_differs_is_said_where_the_bytes_are_not_the_same(root, capsys):
    record = root / "submissions" / THIRD.replace(".csv", ".json")
    content = read_json(record)
    content["versions"]["numpy"] = "1.0"
    content["members"][0]["weight"] = 0.25
    lines = (root / "submissions" / THIRD).read_text().splitlines()
    lines[3] = "test-0002,9.5"
    (root / "submissions" / THIRD).write_text("\n".join([*lines, ""]))
    content["sha256"] = hashlib.sha256((root / "submissions" / THIRD).read_bytes()).hexdigest()
    commit_json(record, content)
    assert call(root, THIRD) == 5
    message = capsys.readouterr().err
    assert "was made again, and it is not the same" in message
    assert "the weight of m0 is" in message
    assert f"numpy is {np.__version__}, then 1.0" in message
    assert "1 rows differ, first test-0002,9.5 then, test-0002," in message


def test_data_that_has_changed_is_named(root, capsys):
    sample = root / "data" / "sample.csv"
    header, *rows = sample.read_text().splitlines()
    sample.write_text("\n".join([header, *rows[::-1], ""]))
    assert call(root, FIRST) == 5
    assert "data/sample.csv has other bytes than then" in capsys.readouterr().err


def test_a_changed_file_is_kept_and_told(root, capsys):
    csv = root / "submissions" / FIRST
    csv.write_text("changed")
    assert call(root, FIRST) == 5
    assert "has changed since it was written. The file was made again" in capsys.readouterr().err
    assert csv.read_text() == "changed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": None}, "lacks config"),
        ({"members": 3, "passport": None}, "lacks members, passport"),
        ({"config": {"name": "toy", "colour": "red"}}, "does not fit this version"),
        ({"asked": {"magic": 1}}, "it was made with magic, which this version does not know"),
    ],
)
def test_provenance_that_does_not_suffice_is_refused(root, capsys, changes, message):
    edit(root / "submissions" / FIRST.replace(".csv", ".json"), **changes)
    assert call(root, FIRST) == 5
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there_names_those_there_are(root, capsys):
    assert call(root, "toy-009-mean.csv") == 2
    assert f"there are: {FIRST}, {SECOND}, {THIRD}" in capsys.readouterr().err
    assert call(root, "") == 2
    assert "there is no submission ''; in" in capsys.readouterr().err


def test_a_file_without_provenance_cannot_be_made_again(root, capsys):
    (root / "submissions" / "mine.csv").write_text("id,target\n")
    assert call(root, "mine.csv") == 5
    assert "mine.json is missing" in capsys.readouterr().err
