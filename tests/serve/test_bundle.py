"""A bundle predicts as its submission did, alone; what is not as it was made is refused."""

import base64
import csv
import hashlib
import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.base.command import run
from pipeline.base.errors import ArtifactError, UsageError
from pipeline.base.files import read_json, sha256
from pipeline.bundle import main
from pipeline.data.sample import by_joined_keys, of_rows, sample_of
from pipeline.serve.bundle import check_files, from_plain, open_bundle, to_plain
from pipeline.serve.packing.half import _halved
from pipeline.serve.packing.pack import wheel
from pipeline.serve.packing.papers import Backbone, licence_of
from pipeline.serve.predicting import predict_file
from pipeline.submissions.build import BuildRequest, fill, fitted_of, make
from tests.blendable import make as blendable
from tests.nightly import nightly
from tests.trained import NAME, bundles, root, trained

__all__ = ["bundles", "root", "trained"]


def call(root, out, *more):
    return run(main, ["--root", str(root), NAME, "-o", str(out), *more])


@pytest.fixture
def bundle(bundles):
    """One that is left as it is."""
    return bundles / "whole"


@pytest.fixture
def copied(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "bundle")


def cells(path):
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("members", [["linear"], nightly(["linear", "tiny"])])
def test_predict_py_alone_without_a_network_gives_the_bytes(trained, tmp_path, capsys, members):
    out = tmp_path / "bundle.zip"
    assert call(trained, out, "--prove", "--json", "--members", *members) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["proof"]["same"]
    assert found["proof"]["cut_off"]
    assert found["check"]["largest"] == 0.0
    assert found["members"] == members
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.zip"]
    zipfile.ZipFile(out).extractall(tmp_path / "unpacked")
    check_files(tmp_path / "unpacked")
    with pytest.raises(UsageError, match=r"Unpack it first: python -m zipfile -e .*bundle.zip"):
        open_bundle(out)


def test_it_holds_no_path_of_the_machine_and_no_text_of_train(trained, bundle):
    with (trained / "train.csv").open(encoding="utf-8", newline="") as stream:
        texts = [row["sentence_1"] for row in csv.DictReader(stream)]
    for path in bundle.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(trained).encode() not in content, path
            assert not any(text.encode() in content for text in texts), path


def test_the_same_submission_gives_the_same_bundle(trained, bundle, tmp_path):
    assert call(trained, tmp_path / "again") == 0
    assert (tmp_path / "again" / "SHA256SUMS").read_text() == (bundle / "SHA256SUMS").read_text()


def test_a_hidden_test_is_answered_in_the_order_of_its_own_sample(bundle, trained, tmp_path):
    rows = cells(trained / "test.csv")
    hidden, sample = tmp_path / "hidden.csv", tmp_path / "sample.csv"
    with hidden.open("w", newline="") as stream:
        renamed = [[f"hidden-{row[0]}", *row[1:]] for row in rows[1:]]
        csv.writer(stream).writerows([rows[0], *renamed])
    ids = [f"hidden-{row[0]}" for row in reversed(rows[1:])]
    with sample.open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "target"], *([name, "0.0"] for name in ids)])
    assert predict_file(bundle, str(hidden), str(tmp_path / "out.csv"), str(sample)) == 0
    sent = dict(cells(trained / "submissions" / NAME))
    answers = cells(tmp_path / "out.csv")
    assert answers[0] == ["id", "target"]
    assert [row[0] for row in answers[1:]] == ids
    assert all(sent[name.removeprefix("hidden-")] == value for name, value in answers[1:])
    assert predict_file(bundle, str(hidden), str(tmp_path / "own.csv")) == 0
    assert [row[0] for row in cells(tmp_path / "own.csv")[1:]] == ids[::-1]
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(UsageError, match=r"own\.csv is there already"):
        predict_file(bundle, str(hidden), str(tmp_path / "own.csv"))


def test_a_sample_of_something_else_is_refused(bundle, trained, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text((trained / "sample.csv").read_text().replace("target", "answer"))
    with pytest.raises(UsageError, match="--sample has no column 'target'"):
        predict_file(bundle, str(trained / "test.csv"), str(tmp_path / "out.csv"), str(other))
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "ensemble.npz").write_bytes(b"x"), "changed .*ensemble.npz"),
        (lambda folder: (folder / "wheels.txt").unlink(), "missing: wheels.txt"),
        (lambda folder: (folder / "more.txt").write_text("x"), "not of the bundle: more.txt"),
        (lambda folder: (folder / "a").symlink_to("/etc"), "is a link to /etc"),
        (
            lambda folder: (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../x\n"),
            "SHA256SUMS is damaged",
        ),
    ],
)
def test_what_is_not_as_it_was_made_is_refused(copied, harm, said):
    harm(copied)
    with pytest.raises(ArtifactError, match=said):
        open_bundle(copied)


def test_members_without_weights_are_named_and_nothing_is_left_behind(root, tmp_path, capsys):
    shutil.rmtree(root / "runs" / "toy" / "tiny" / "seed-42" / "fold-1")
    place = tmp_path / "out"
    place.mkdir()
    assert call(root, place / "bundle") == 5
    said = capsys.readouterr().err
    assert "  - tiny: weights of seed-42/fold-1 are not in" in said
    assert "What remains can predict: --members linear (honest pearson 0." in said
    assert not list(place.iterdir())
    assert call(root, place / "bundle", "--members", "linear", "--limit-gb", "0.0000001") == 0
    out = capsys.readouterr().out
    assert ": OVER the limit of 1e-07 GB" in out
    assert "holds    linear: of training rows values of feature columns" in out
    assert call(root, place / "bundle") == 2
    assert "is there already" in capsys.readouterr().err


def test_what_fails_on_the_way_leaves_nothing(root, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.serve.packing.pack.shutil.copyfile", full)
    place = tmp_path / "out"
    place.mkdir()
    assert call(root, place / "bundle") == 4
    assert not list(place.iterdir())


def test_a_weight_beyond_float16_is_named_and_nothing_is_changed(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"fine": torch.ones(2), "far": torch.tensor([1e6])}, path)
    before = path.read_bytes()
    with pytest.raises(
        ArtifactError, match=r"far holds numbers that float16 has not .* without --h"
    ):
        _halved(path)
    assert path.read_bytes() == before


@pytest.mark.nightly
def test_float16_halves_the_weights_and_tells_what_it_costs(bundle, trained, tmp_path, capsys):
    out = tmp_path / "half"
    assert call(trained, out, "--half", "--json") == 0
    effect = json.loads(capsys.readouterr().out)["float16"]
    assert effect["cells"] == 12
    assert 0 < effect["largest"] < 0.01
    assert 0 < effect["changed"] <= 12
    assert effect["halved"] == pytest.approx(effect["honest"], abs=0.01)
    check_files(out)
    name = "members/tiny/seed-42/fold-0/weights.safetensors"
    assert (out / name).stat().st_size < 0.7 * (bundle / name).stat().st_size
    with safe_open(out / name, framework="np") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {np.dtype("float16")}  # noqa: SIM118
    assert read_json(out / name.replace("weights.safetensors", "learner.json"))[
        "weights_sha256"
    ] == sha256(out / name)
    assert read_json(out / "bundle.json")["float16"]["changed"] == effect["changed"]
    answers = tmp_path / "out.csv"
    assert predict_file(out, str(trained / "test.csv"), str(answers)) == 0
    sent = dict(cells(trained / "submissions" / NAME))
    moved = [abs(float(value) - float(sent[row])) for row, value in cells(answers)[1:]]
    assert max(moved) == pytest.approx(effect["largest"], rel=0.01)


@pytest.mark.parametrize(
    ("problem", "metric", "method"),
    [
        ("regression", "rmse", "layers"),
        ("regression", "spearman", "rank-mean"),
        ("multiclass", "qwk", "simplex"),
        ("binary", "f1", "logistic"),
    ],
)
def test_a_fitted_ensemble_goes_through_plain_values_unchanged(tmp_path, problem, metric, method):
    sample = (["label"], ["1"]) if problem == "binary" else None
    sample = (["label"], ["art"]) if problem == "multiclass" else sample
    limits = "label_range: [0, 10]" if problem == "regression" else ""
    toy = blendable(tmp_path, problem, metric, sample=sample, task=limits, folds=3)
    for place, noise in enumerate((0.6, 0.8, 1.0)):
        toy.add_run(f"m{place}", noise * (9 if place == 2 else 1), seed=place)
    request = BuildRequest(runs=["m0", "m1", "m2"], method=method)
    made = make(toy.root, toy.competition, request)
    arrays = {}
    plain = json.loads(json.dumps(to_plain(fitted_of(made.outcome), arrays)))
    fitted, test = from_plain(plain, arrays), toy.tables.test
    given = fitted.rows(made.outcome.members.test, test)
    ids, task = test.ids.tolist(), toy.competition.task
    assert fill(fitted, task, ids, toy.tables.sample, given) == made.content


def test_nothing_else_is_made_of_plain_values():
    for name in ("os:system", "pipeline.base.files:sweep", "pipeline.base:Gone"):
        with pytest.raises(ArtifactError, match="a bundle asks for"):
            from_plain({"object": name, "fields": {}}, {})


def test_a_row_per_class_of_other_ids_is_written_for_these_ids():
    frame = pd.DataFrame(
        {"id": ["a", "a", "b", "b"], "class": ["x", "y"] * 2, "p": ["0.5"] * 4}, dtype=object
    )
    for order in ([0, 1, 2, 3], [0, 2, 1, 3]):
        sample = sample_of(frame.iloc[order].reset_index(drop=True), "id")
        new = of_rows(sample, np.array(["n", "m"], dtype=object))
        rows = new.file_form.rows(["m", "n"], {"x": ["1", "2"], "y": ["3", "4"]})
        told = [tuple(row) for row in rows.to_numpy().tolist()]
        assert set(told) == {("n", "x", "2"), ("n", "y", "4"), ("m", "x", "1"), ("m", "y", "3")}
        assert told[0] == ("n", "x", "2")
        assert told[1][:2] == (("n", "y") if order[1] == 1 else ("m", "x"))


def test_a_key_of_id_and_column_is_made_for_other_ids():
    frame = pd.DataFrame({"key": ["7_x", "7_y", "8_x", "8_y"], "p": ["0"] * 4}, dtype=object)
    _, form = by_joined_keys(frame, "key", ["7", "8"])
    rows = form.of_rows(["9"]).rows(["9"], {"x": ["1"], "y": ["2"]})
    assert rows.to_numpy().tolist() == [["9_x", "1"], ["9_y", "2"]]


def test_the_wheel_lists_its_files_with_their_digests(tmp_path):
    (tmp_path / "w.whl").write_bytes(wheel())
    with zipfile.ZipFile(tmp_path / "w.whl") as archive:
        (record,) = [name for name in archive.namelist() if name.endswith("/RECORD")]
        lines = list(csv.reader(archive.read(record).decode().splitlines()))
        assert {line[0] for line in lines} == set(archive.namelist())
        for name, digest, size in lines:
            if name == record:
                continue
            content = archive.read(name)
            said = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            assert digest == f"sha256={said.rstrip('=')}"
            assert int(size) == len(content)
        assert "pipeline/serve/alone.py" in archive.namelist()
        assert "pipeline/configs/models/linear.yaml" in archive.namelist()


def test_a_licence_is_read_where_it_stands_and_unknown_elsewhere(tmp_path):
    assert licence_of("org/name", tmp_path)[0] == "unknown"
    (tmp_path / "LICENSE").write_text("\nMIT License\n")
    assert licence_of("org/name", tmp_path) == ("MIT License", "the first line of LICENSE")
    (tmp_path / "README.md").write_text("---\nlanguage: ko\nlicense: 'cc-by-sa-4.0'\n---\n# x")
    assert licence_of("org/name", tmp_path)[0] == "cc-by-sa-4.0"
    found = Backbone.of(str(tmp_path), f"the folder {tmp_path}", "0" * 64, tmp_path)
    assert str(tmp_path.parent) not in json.dumps(found.about())


def test_the_notebook_is_one_and_asks_for_options_that_there_are(bundle):
    content = json.loads((bundle / "notebook.ipynb").read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    cells = content["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells) == 4
    (asked,) = [cell["source"] for cell in cells if "predict.py" in cell["source"]]
    program = (bundle / "predict.py").read_text(encoding="utf-8")
    assert all(f'"{word}"' in program for word in asked.split() if word.startswith("-"))
    listed = (bundle / "wheels.txt").read_text().splitlines()
    named = {line.partition("==")[0] for line in listed}
    assert named >= {"torch", "docstring-parser", "typeshed-client"}, "of jsonargparse[signatures]"
    assert all("==" in line for line in listed)
