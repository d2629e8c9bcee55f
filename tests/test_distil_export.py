"""A student as an ONNX file: it answers as the learner does, without torch and without us."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pipeline import cv
from pipeline.base.command import run
from pipeline.distil import export as export_module
from pipeline.distil.__main__ import main
from tests.toy import toy_competition

GONE = [name for name in export_module.LIBRARIES if not export_module.find_spec(name)]
needed = pytest.mark.skipif(bool(GONE), reason=f"not installed: {', '.join(GONE)}")
WITHOUT_US = """import sys
for name in ("torch", "transformers", "pipeline", "pandas"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
import runpy
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = toy_competition(tmp_path_factory.mktemp("toy"))
    assert run(cv.main, ["--root", str(root), "--model", "linear"]) == 0
    return root


def asked(root, out, *more):
    argv = ["--root", str(root), "--student", "tiny", "--set", "epochs=1", "--export", "onnx"]
    return run(main, [*argv, "-o", str(out), "--json", *more])


@pytest.fixture(scope="module")
def exported(root, tmp_path_factory):
    """The folder, and what the learner says of the test rows."""
    out, said = tmp_path_factory.mktemp("out") / "student", []
    predict = export_module.predict_bare

    def noted(*args):
        said.append(predict(*args))
        return said[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(export_module, "predict_bare", noted)
        assert asked(root, out) == 0
    assert len(said) == 1
    return out, said[0]


@pytest.mark.nightly
@needed
def test_predict_py_answers_as_the_learner_without_torch_and_without_this_package(
    root, exported, tmp_path
):
    folder, said = exported
    argv = [str(folder / "predict.py"), str(root / "test.csv"), "-o", str(tmp_path / "out.csv")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_US, *argv],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["id", "label"]
    found = np.array([[float(value)] for _, value in rows])
    assert np.std(found) > 1e-4
    np.testing.assert_allclose(found, said, atol=1e-4)
    about = json.loads((folder / "student.json").read_text(encoding="utf-8"))
    assert about["members"] == about["teachers"] == ["linear"]


@pytest.mark.nightly
@needed
def test_what_does_not_answer_as_the_learner_is_not_written(
    root, exported, tmp_path, capsys, monkeypatch
):
    def copied(job, weights, folder, int8):
        for name in ("model.onnx", "tokenizer.json"):
            shutil.copy(exported[0] / name, folder / name)

    answer = export_module.Opened.answer
    monkeypatch.setattr(export_module, "_write", copied)
    monkeypatch.setattr(
        export_module.Opened, "answer", lambda self, rows: answer(self, rows) + 2e-3
    )
    assert asked(root, tmp_path / "student") == 5
    assert "the exported model is not the student: its predictions" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
@needed
def test_a_backbone_that_the_exporter_does_not_know_is_refused_in_a_sentence(
    root, exported, tmp_path, capsys, monkeypatch
):
    def failing(*_, **__):
        raise RuntimeError("no decomposition of strange_op\nmore of it")

    monkeypatch.setattr("torch.onnx.export", failing)
    assert asked(root, tmp_path / "student") == 2
    said = capsys.readouterr().err
    assert "(bert) cannot be exported: no decomposition of strange_op. Choose another" in said
    assert list(tmp_path.iterdir()) == []


@needed
@pytest.mark.nightly
def test_int8_says_what_it_costs(root, tmp_path, capsys):
    capsys.readouterr()
    assert asked(root, tmp_path / "student", "--int8") == 0
    found = json.loads(capsys.readouterr().out)
    before, after = found["exported"]["scores"]
    assert before == pytest.approx(found["honest"], abs=0.02)  # a decision apart
    assert 0 < abs(after - before) < 0.05
    assert found["exported"]["bytes"]["model-int8.onnx"] < found["exported"]["bytes"]["model.onnx"]
    assert found["exported"]["away"]["model-int8.onnx"] > found["exported"]["away"]["model.onnx"]


def test_what_cannot_be_exported_is_refused_before_anything_is_trained(root, tmp_path, capsys):
    argv = ["--root", str(root), "--student", "linear", "--export", "onnx"]
    assert run(main, [*argv, "-o", str(root)]) == 2
    said = capsys.readouterr().err
    assert f"-o {root} is there already" in said
    assert "linear is of learner linear, which reads texts by code of our own" in said
    assert not (root / "runs" / "toy" / ".students" / "linear").exists()
    argv += ["-o", str(tmp_path / "out"), "--set", "clean=[nfkc]"]
    assert run(main, argv) == 2
    assert "has clean, which changes texts before they are tokens" in capsys.readouterr().err
