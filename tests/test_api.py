"""`pipeline.api`: the commands from a notebook, their numbers as DataFrames."""

import contextlib
import csv
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline.api as fs
from pipeline.base.command import STOP
from pipeline.base.errors import UsageError
from pipeline.oof.predictions import read_fold
from tests.blendable import make

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def project(
    tmp_path: Path, problem: str = "regression", metric: str = "pearson"
) -> tuple[Any, Any]:
    toy = make(tmp_path, problem, metric)
    toy.add_run("good", 0.5)
    toy.add_run("poor", 1.0, seed=2)
    return toy, fs.Project("toy", tmp_path)


def test_oof_is_the_label_the_fold_and_each_runs_prediction_by_id(tmp_path):
    toy, here = project(tmp_path)
    frame = here.oof()
    assert list(frame.columns) == ["label", "fold", "good", "poor"]
    assert frame.index.tolist() == toy.folds.ids.tolist()
    targets = toy.tables.train.in_order(toy.folds.ids).targets
    assert np.array_equal(frame["label"], targets[:, 0])
    assert np.array_equal(frame["fold"], toy.folds.fold_of_row[0])
    fold, _ = read_fold(toy.paths.fold_predictions("good", 42, 0, 2))
    assert np.array_equal(frame.loc[fold.valid_ids.tolist(), "good"], fold.valid[:, 0])
    assert list(here.oof("poor").columns) == ["label", "fold", "poor"]


def test_test_is_the_mean_of_the_folds_learners(tmp_path):
    toy, here = project(tmp_path)
    frame = here.test("good")
    assert frame.index.tolist() == toy.tables.test.ids.tolist()
    learners = [
        read_fold(toy.paths.fold_predictions("good", 42, 0, fold))[0].test[:, 0]
        for fold in range(toy.folds.count)
    ]
    assert np.allclose(frame["good"], np.mean(learners, axis=0))


def test_several_classes_have_a_column_each(tmp_path):
    toy, here = project(tmp_path, "multiclass", "accuracy")
    classes = [f"good.{each}" for each in toy.competition.outputs]
    assert list(here.test("good").columns) == classes
    assert np.allclose(here.test("good").sum(axis=1), 1, atol=1e-4)


def test_the_blend_is_the_commands(tmp_path, capsys):
    from pipeline.ensemble.__main__ import main

    _, here = project(tmp_path)
    blend = here.ensemble(method="mean", runs=["good", "poor"])
    assert blend.file is not None
    assert blend.file.exists()
    assert "Members" in capsys.readouterr().out, "the page is printed"
    options = [
        "--root",
        str(tmp_path),
        "--config",
        "toy",
        "--method",
        "mean",
        "--json",
        "--dry-run",
    ]
    assert main(options) == 0
    answer = json.loads(capsys.readouterr().out)
    assert blend.honest == answer["scores"]["honest"]
    assert blend.members["weight"].tolist() == [each["weight"] for each in answer["members"]]
    assert f"{blend.honest:.4f}" in blend._repr_html_()
    named = replace(blend, method="<i>", members=blend.members.rename({"good": "<b>x</b>"}))
    assert "<b>x" not in named._repr_html_()
    assert "<i>" not in named._repr_html_()
    assert "&lt;b&gt;x" in named._repr_html_()


def test_a_mistake_says_what_the_command_says(tmp_path):
    _, here = project(tmp_path)
    with pytest.raises(UsageError, match="did you mean 'method'"):
        here.ensemble(metod="mean")
    with pytest.raises(UsageError, match="there is no config other"):
        fs.Project("other", tmp_path)


def test_a_config_that_is_there_is_read_and_not_written_again(tmp_path, capsys):
    project(tmp_path)
    config = tmp_path / "configs" / "toy.yaml"
    before = config.read_bytes()
    assert fs.init(tmp_path / "data", root=tmp_path, name="toy").competition.name == "toy"
    assert config.read_bytes() == before
    with pytest.raises(UsageError, match="metric would change nothing"):
        fs.init(tmp_path / "data", root=tmp_path, name="toy", metric="rmse")


def test_the_time_of_a_call_begins_with_it():
    STOP.set_limit("1s")
    STOP.began -= 100
    STOP.begin()
    assert STOP.left() is None
    assert STOP.due() is None


def test_the_report_is_a_document_of_its_own_that_runs_only_its_script(tmp_path):
    page = tmp_path / "a.html"
    page.write_text("<script>alert(1)</script>")
    html = fs.Report(page)._repr_html_()
    assert "alert" not in html
    assert 'sandbox="allow-scripts"' in html


def small(folder: Path) -> Path:
    """The built-in competition's first rows."""
    folder.mkdir(parents=True)
    for name, rows in (("train", 120), ("test", 30), ("sample_submission", 30)):
        with (ROOT / "demo" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))[: rows + 1]
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(lines)
    return folder


def cells(tmp_path: Path) -> list[str]:
    """The notebook's code; the cell that is tagged as papermill's parameters is the test's."""
    data = small(tmp_path / "data" / "toy")
    found = []
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code":
            mine = ["from pathlib import Path", f"root = Path({str(tmp_path)!r})"]
            mine.append(f"data = Path({str(data)!r})")
            found.append("\n".join(mine) if "parameters" in tags else "".join(cell["source"]))
    return found


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("nbclient") is None or importlib.util.find_spec("ipykernel") is None,
    reason='nbclient or ipykernel is not installed: pip install -e ".[dev]"',
)
def test_the_notebook_runs_in_a_kernel(tmp_path):
    nbformat, nbclient = map(importlib.import_module, ("nbformat", "nbclient"))
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(each) for each in cells(tmp_path)]
    )
    with contextlib.chdir(ROOT):
        nbclient.NotebookClient(book, timeout=600, kernel_name="python3").execute()
    printed = "".join(each.get("text", "") for each in book.cells[3].outputs)
    assert "pearson on held-out rows" in printed, "what the command prints is printed"
    assert "\x1b" not in printed, "no line is replaced: a notebook is no terminal"
    tables = [each["data"].get("text/html", "") for each in book.cells[3].outputs if "data" in each]
    assert any("fold 4" in each and "linear" in each for each in tables), "scores as a DataFrame"
    assert "iframe" in book.cells[-1].outputs[-1]["data"]["text/html"]


def test_the_notebook_that_is_shown_was_run_to_its_end():
    code = [
        cell
        for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {each["output_type"] for cell in code for each in cell["outputs"]}
    assert "error" not in kinds
