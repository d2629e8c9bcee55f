"""The predictions of a run: each fold, the folds together, run.json."""

import json
import shutil

import numpy as np
import pytest

from pipeline.doctor.finding import Part
from tests.sound import (
    OOF,
    RUN,
    edit,
    edit_settings,
    examine,
    problem_of,
    recommit,
    resign,
    sound,
    spoil,
)

NPZ, JSON = f"{OOF}/fold-1.npz", f"{OOF}/fold-1.json"


@pytest.fixture
def root(tmp_path):
    return sound(tmp_path)


def arrays(root, part="fold-1"):
    with np.load(root / OOF / f"{part}.npz") as archive:
        return dict(archive)


def note_of(root, path):
    """The only thing there is to say, a note about *path*."""
    answer = examine(root, "--run", "linear")
    assert answer.code == 0
    (found,) = answer.notes
    assert found["path"] == path
    return found


# one fold


def test_changed_predictions_are_named_with_both_digests_and_the_cost(root):
    expected = json.loads((root / JSON).read_text())["predictions_sha256"][:12]
    spoil(root / NPZ)
    found = problem_of(root, NPZ)
    assert f"expected {expected}…" in found["what"]
    assert "fold 1 (seed 42) of run linear is trained again" in found["todo"]


def test_predictions_without_their_manifest_were_being_committed(root):
    (root / JSON).unlink()
    (root / RUN).unlink()
    answer = examine(root, "--run", "linear")
    assert answer.code == 0
    assert [note["path"] for note in answer.notes] == [NPZ, str(RUN.parent)]
    assert "fold 1 (seed 42) was just being committed" in answer.notes[0]["what"]
    assert answer.notes[1]["what"] == "is not finished: seed 42 lacks fold-1"


def test_a_manifest_without_its_predictions_is_a_problem(root):
    (root / NPZ).unlink()
    assert problem_of(root, NPZ)["what"] == "is missing, its manifest is there"


def test_a_manifest_of_another_fold_is_a_problem(root):
    for suffix in (".npz", ".json"):
        shutil.copy(root / OOF / f"fold-2{suffix}", root / OOF / f"fold-1{suffix}")
    assert problem_of(root, JSON)["what"] == (
        "says it is of fold 2, but lies where fold 1 (seed 42) of run linear belongs"
    )


def test_a_format_of_another_version_is_a_problem(root):
    edit(root / JSON, format=99)
    assert "has format 99" in problem_of(root, JSON)["what"]


def test_python_objects_are_never_unpickled(root, tmp_path):
    values = np.array([open], dtype=object)
    np.savez(root / NPZ, **{**arrays(root), "valid": values})
    resign(root, "fold-1")
    assert "pickles are never loaded here" in problem_of(root, NPZ)["what"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"valid": a["valid"] * np.nan}, "15 valid predictions that are not finite"),
        (lambda a: {"test": a["test"] / np.float32(0)}, "10 test predictions that are not finite"),
        (lambda a: {"valid": a["valid"].astype(float)}, "type float64, expected (15, k)"),
        (lambda a: {"valid": a["valid"][:-1]}, "valid of shape (14, 1)"),
        (lambda a: {"valid": a["valid"][:, 0]}, "valid of shape (15,)"),
        (lambda a: {"valid_ids": np.arange(15)}, "valid_ids of shape (15,) and type int64"),
        (lambda a: {"test": a["test"].repeat(2, axis=1)}, "different widths: [(1,), (2,)]"),
        (
            lambda a: {"test_ids": np.repeat(a["test_ids"][::2], 2)},
            "names 5 test ids more than once: test-0000, test-0002",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_no_learner_commits_is_a_problem(root, change, message):
    recommit(root, "fold-1", **change(arrays(root)))
    assert message in problem_of(root, NPZ)["what"]


def test_an_array_that_is_missing_is_named(root):
    found = arrays(root)
    del found["holdout_ids"]
    np.savez(root / NPZ, **found)
    resign(root, "fold-1")
    assert "lacks holdout_ids" in problem_of(root, NPZ)["what"]


# the folds together


def test_other_settings_than_the_other_folds_are_named(root):
    recipe = json.loads((root / JSON).read_text())["settings"]["recipe"]
    edit_settings(root / JSON, recipe=recipe | {"buckets": 7})
    assert problem_of(root, NPZ)["what"] == (
        "was trained with other settings than the run's other folds: "
        "recipe.buckets 7 (elsewhere 4096)"
    )


def test_the_metric_may_change_freely(root):
    task = json.loads((root / JSON).read_text())["settings"]["task"]
    edit_settings(root / JSON, task=task | {"metric": "rmse"})
    assert examine(root).code == 0


def test_one_fold_on_other_frozen_folds_names_both_digests(root):
    today = json.loads((root / JSON).read_text())["settings"]["passport"]
    edit_settings(root / JSON, passport="f" * 64)
    what = f"was trained on other frozen folds: {'f' * 16}; today's are {today[:16]}"
    assert problem_of(root, NPZ)["what"] == what


def test_a_run_on_other_frozen_folds_is_one_problem_and_that_of_run_json(root):
    for fold in range(4):
        edit_settings(root / OOF / f"fold-{fold}.json", passport="f" * 64)
    edit(root / RUN, passport="f" * 64)
    answer = examine(root)
    assert [problem["path"] for problem in answer.problems] == [str(RUN.parent)]
    assert "was trained on other frozen folds" in answer.problems[0]["what"]
    assert "all 4 finished folds of run linear are trained again" in answer.problems[0]["todo"]


def test_rows_of_another_fold_are_named(root):
    mine, theirs = arrays(root, "fold-1")["valid_ids"], arrays(root, "fold-2")["valid_ids"]
    swapped = np.concatenate([mine[:-1], theirs[:1]])
    recommit(root, "fold-1", valid_ids=swapped)
    assert problem_of(root, NPZ)["what"] == (
        f"holds other rows than its frozen fold: 1 are missing: {mine[-1]}; "
        f"1 are of other folds: {theirs[0]}"
    )


def test_rows_held_out_twice_are_seen_without_frozen_folds(root):
    for suffix in (".csv", ".json"):
        (root / "folds" / f"toy{suffix}").unlink()
    theirs = arrays(root, "fold-2")["valid_ids"]
    recommit(root, "fold-1", valid_ids=theirs, valid=arrays(root, "fold-2")["valid"])
    found = [problem for problem in examine(root).problems if problem["path"].startswith("oof")]
    assert [problem["path"] for problem in found] == [f"{OOF}/fold-2.npz"]
    assert found[0]["what"].startswith(f"holds out {len(theirs)} rows that fold-1.npz holds out")


def test_other_test_rows_than_the_other_folds_are_a_problem(root):
    recommit(root, "fold-1", test_ids=np.array([f"new-{row}" for row in range(10)]))
    assert problem_of(root, NPZ)["what"] == "predicts other test rows than the run's other folds"


def test_a_fold_that_the_frozen_folds_do_not_have_is_a_problem(root):
    for suffix in (".npz", ".json"):
        shutil.copy(root / OOF / f"fold-1{suffix}", root / OOF / f"fold-4{suffix}")
    edit(root / OOF / "fold-4.json", fold=4)
    found = problem_of(root, f"{OOF}/fold-4.npz")
    assert found["what"] == "is of no frozen fold: there are folds 0 to 3 of 1 repeats"


def test_folds_of_another_tokenizer_are_no_one_model(root):
    factory = json.loads((root / JSON).read_text())["factory"]
    edit(root / JSON, factory=factory | {"tokenizer_canary": "ab"})
    assert "tokenizer output changed" in problem_of(root, str(RUN.parent))["what"]


# run.json


def test_predictions_that_run_json_was_not_made_from_are_named(root):
    recommit(root, "fold-1", valid=arrays(root)["valid"] + 1)
    parts = json.loads((root / RUN).read_text())["parts"]
    edit(root / RUN, parts=parts | {"seed-42/fold-1": "0" * 64})
    found = problem_of(root, str(RUN))
    assert found["what"] == (
        "was made from other predictions than those that lie there: seed-42/fold-1"
    )
    assert "no finished fold is trained again" in found["todo"]


def test_a_fold_that_run_json_lists_and_nobody_has_is_a_problem(root):
    (root / NPZ).unlink()
    (root / JSON).unlink()
    found = problem_of(root, str(RUN))
    assert found["what"] == "lists folds that are not there: seed-42/fold-1"
    assert "--model linear (1 fold to train, under a minute)" in found["todo"]


def test_run_json_that_is_not_there_yet_is_a_note_with_the_command(root):
    (root / RUN).unlink()
    found = note_of(root, str(RUN))
    assert found["what"] == "is not there yet, though every fold of seed 42 is finished"
    assert "--model linear (writes run.json; no finished fold is trained again)" in found["todo"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": None}, "lacks parts"),
        ({"seeds": [42, 43]}, "lists 4 parts, which are not those of seeds [42, 43]"),
        ({"name": "minilm"}, "is of run minilm, but lies in oof/toy/linear"),
        ({"competition": "other"}, "is of competition other, but lies in oof/toy"),
        ({"passport": "f" * 64}, f"was made on other frozen folds: {'f' * 16}"),
    ],
)
def test_a_run_json_of_something_else_is_a_problem(root, change, message):
    edit(root / RUN, **change)
    assert message in problem_of(root, str(RUN))["what"]


def test_columns_that_run_json_does_not_name_are_a_problem(root):
    edit(root / RUN, outputs=["a", "b"])
    problems = examine(root).problems
    assert len(problems) == 4
    assert problems[1]["what"] == "has 1 prediction columns, its run.json names 2 outputs"


def test_a_seed_that_came_later_is_a_note(root):
    shutil.copytree(root / OOF, root / OOF.parent / "seed-43")
    for fold in range(4):
        edit(root / OOF.parent / "seed-43" / f"fold-{fold}.json", seed=43)
    shutil.copytree(root / "runs/toy/linear/seed-42", root / "runs/toy/linear/seed-43")
    found = note_of(root, str(RUN))
    assert found["what"] == "does not hold seed 43, whose folds are finished"
    assert "--model linear --seed 43 " in found["todo"]


# how far it is


def test_an_unfinished_run_says_how_it_goes_on(root):
    for path in (root / RUN, root / NPZ, root / JSON):
        path.unlink()
    shutil.rmtree(root / "runs/toy/linear/seed-42/fold-1")
    found = note_of(root, str(RUN.parent))
    assert found["what"] == "is not finished: seed 42 lacks fold-1"
    assert found["todo"].endswith("--model linear (1 fold to train, under a minute).")


def test_a_fold_that_was_trained_has_only_to_predict(root):
    for path in (root / RUN, root / NPZ, root / JSON):
        path.unlink()
    assert (root / "runs/toy/linear/seed-42/fold-1/trained.json").exists()
    assert "fold 1 (seed 42) has only to predict" in note_of(root, str(RUN.parent))["todo"]


def test_weights_that_are_not_kept_are_one_note(root):
    shutil.rmtree(root / "runs")
    found = note_of(root, "runs/toy/linear")
    assert found["what"] == "holds no weights of 4 of 4 finished folds"


# names


def test_a_run_that_no_command_would_name_so_is_a_problem(root):
    shutil.move(root / "oof/toy/linear", root / "oof/toy/my run")
    paths = {problem["path"]: problem["what"] for problem in examine(root).problems}
    assert paths["oof/toy/my run"].startswith("is no name that a run can have")


def test_a_competition_that_no_command_would_name_so_is_a_problem(root):
    shutil.copytree(root / "oof/toy", root / "oof/my toy")
    found = problem_of(root, "oof/my toy")
    assert found["what"].startswith("is no name that a competition can have")


def test_a_folder_that_looks_like_a_seed_is_a_problem(root):
    (root / OOF.parent / "seed-042").mkdir()
    assert "looks like one" in problem_of(root, f"{OOF.parent}/seed-042")["what"]


@pytest.mark.parametrize(
    "name",
    [f"{OOF}/fold-1 (1).npz", f"{OOF}/x.txt", "oof/toy/linear/old", "oof/toy/x", "folds/toy.bak"],
)
def test_a_file_of_nobody_is_a_note(root, name):
    (root / name).write_text("")
    answer = examine(root)
    assert answer.code == 0
    (found,) = answer.notes
    assert (found["path"], found["what"]) == (name, "is no file of the pipeline; nothing reads it")


@pytest.mark.parametrize("name", ["folds/README.md", f"{OOF}/.DS_Store", "oof/toy/.gitkeep"])
def test_hidden_files_and_readmes_are_left_alone(root, name):
    (root / name).write_text("")
    assert examine(root).findings == []


def test_a_file_where_a_folder_belongs_is_a_problem(root):
    shutil.rmtree(root / OOF)
    (root / OOF).write_text("")
    whats = {each["path"]: each["what"] for each in examine(root).problems}
    assert whats[str(OOF)] == "cannot be read: not a directory"


def test_parts_are_named_as_run_json_names_them():
    assert Part(42, 1, 0).name == "seed-42/repeat-1-fold-0"
