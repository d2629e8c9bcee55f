"""`rows` in a recipe: what is made of training rows stays with its parent, in the fold, exact."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.errors import ArtifactError, UsageError
from pipeline.base.fault_injection import Injected
from pipeline.base.parser import read_section
from pipeline.cv import main
from pipeline.data.table import Table, concatenate
from pipeline.data.tables import load
from pipeline.models.learner import Silent
from pipeline.models.linear.solver import inner_parts, row_hashes
from pipeline.models.recipes import as_values, find
from pipeline.models.registry import ROW_TRANSFORMS
from pipeline.models.row_transforms.pairs import Swap
from pipeline.models.row_transforms.transform import (
    Place,
    RowTransform,
    augmented,
    check_steps,
    originals,
    steps_of,
)
from pipeline.oof.predictions import read_fold
from pipeline.training.fold import train_fold
from pipeline.training.jobs import Part
from tests.nightly import nightly
from tests.toy import predictions, toy_competition
from tests.training.toys import COMPETITION, METRIC, Eavesdropper, inject, make_job, table
from tests.training.toys import run as trained

NOBODY = np.array([], dtype=object)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return toy_competition(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def competition(toy) -> Competition:
    return read_section(Competition, toy / "configs" / "default.yaml", [])


@pytest.fixture(scope="module")
def rows(toy, competition) -> Table:
    return load(competition, toy).train


def made(rows: Table, competition: Competition, *entries, seed: int = 7) -> Table:
    place = Place(competition=competition, root=Path(), seed=seed)
    return augmented(rows, steps_of(entries), place, NOBODY)[0]


def children(table: Table) -> Table:
    return table.rows(~originals(table))


def cv(root: Path, *argv: str) -> int:
    return run(main, ["--root", str(root), *argv])


def test_swapped_rows_have_the_targets_and_columns_of_their_parents(rows, competition):
    unlike = rows.rows(rows.texts[:, 0] != rows.texts[:, 1])
    found = made(replace(unlike, features={"colour": unlike.ids}), competition, "swap")
    assert len(found) == 2 * len(unlike) == len(set(found.ids))
    assert found.rows(originals(found)).texts.tolist() == unlike.texts.tolist()
    new = children(found)
    assert new.parents.tolist() == new.features["colour"].tolist() == unlike.ids.tolist()
    assert new.texts.tolist() == unlike.texts[:, ::-1].tolist()
    assert new.targets.tolist() == unlike.targets.tolist()
    assert len(made(rows, competition, "swap")) == 60 + len(unlike), (
        "equal sides, swapped, are they"
    )


def test_both_sides_equal_are_labelled_with_the_top_of_the_range(rows, competition):
    new = children(made(rows, competition, {"both-equal": {"share": 0.5}}))
    assert 10 < len(new) < 50
    assert (new.texts[:, 0] == new.texts[:, 1]).all()
    assert (new.targets == 5.0).all()
    sides = dict(zip(rows.ids, rows.texts.tolist(), strict=True))
    both = zip(new.parents, new.texts[:, 0], strict=True)
    which = {sides[parent].index(text) for parent, text in both}
    assert which == {0, 1}


def test_what_is_drawn_for_a_row_depends_on_no_other_row(rows, competition):
    half = rows.rows(np.arange(60) % 2 == 0)
    asked = {"both-equal": {"share": 0.5, "copies": 2}}
    whole = children(made(rows, competition, asked))
    of_half = children(made(half, competition, asked))
    kept = whole.rows(np.isin(whole.parents, half.ids))
    assert kept.texts.tolist() == of_half.texts.tolist()
    assert children(made(rows, competition, asked, seed=8)).texts.tolist() != whole.texts.tolist()


def test_nothing_is_made_of_rows_that_were_made(rows, competition):
    once = made(rows, competition, {"both-equal": {"share": 1.0}})
    found = made(rows, competition, "swap", {"both-equal": {"share": 1.0}})
    assert len(found) - len(made(rows, competition, "swap")) == len(once) - 60
    assert set(found.parents) == set(rows.ids)


def test_only_rows_with_the_labels_that_are_asked_for(rows, competition):
    new = children(made(rows, competition, {"swap": {"labels": [3, 5]}}))
    assert 0 < len(new) < 60
    assert new.targets.min() >= 3
    few = children(made(rows, competition, {"both-equal": {"rare": 0.2, "share": 1.0}}))
    labels = dict(zip(rows.ids, rows.targets[:, 0], strict=True))
    shares = {value: (rows.targets == value).mean() for value in np.unique(rows.targets)}
    rare = {value for value, share in shares.items() if share < 0.2}
    found = {labels[parent] for parent in few.parents}
    assert found
    assert found <= rare < shares.keys()


def test_the_inner_split_keeps_children_with_their_parent_and_asks_about_parents_only():
    few = table(30, "tr")
    child = replace(
        few,
        ids=np.array([f"{each}\0c" for each in few.ids], dtype=object),
        texts=np.array([[f"{text[::-1]} else"] for text in few.texts[:, 0]], dtype=object),
        parents=few.ids,
    )
    both = concatenate(few, child)
    for fit, held in inner_parts(row_hashes(both), originals(both)):
        assert originals(both)[held].all()
        assert not set(both.parents[fit]) & set(both.parents[held])
        assert len(fit) > 20


@dataclass(frozen=True, kw_only=True)
class Leaky(RowTransform):
    """Knows rows of its own, held out or not."""

    def made(self, rows, place):
        told = load(place.competition, place.root).train
        ids = np.array([f"{each}\0leak" for each in told.ids], dtype=object)
        return replace(told, ids=ids, parents=told.ids)


def test_a_row_made_of_a_held_out_row_ends_the_fold_before_it_is_trained(
    tmp_path, monkeypatch, capsys
):
    root = toy_competition(tmp_path)
    monkeypatch.setitem(ROW_TRANSFORMS, "leaky", f"{__name__}:Leaky")
    assert cv(root, "--model", "linear", "--set", "rows=[leaky]") == 2
    said = capsys.readouterr().err
    assert "leaky made rows of 20 rows that are held out in this fold: train-0" in said
    assert not list(root.glob("oof/**/*.npz"))


def test_parents_from_nowhere_are_refused_too(rows, competition):
    part = rows.rows(np.arange(60) < 30)
    stranger = replace(part, ids=np.array([f"{each}x" for each in part.ids], dtype=object))

    class Stray(Swap):
        def made(self, rows, place):
            return replace(stranger, parents=stranger.ids)

    step = steps_of(["swap"])[0]._replace(transform=Stray())
    with pytest.raises(UsageError, match="not among the training rows"):
        augmented(part, [step], Place(competition=competition, root=Path()), NOBODY)


def test_learners_see_children_of_training_rows_and_the_oof_is_of_the_rows_read(
    tmp_path, monkeypatch
):
    class Doubled(RowTransform):
        def changed(self, texts, random):
            return [f"{texts[0]} again"]

    monkeypatch.setitem(ROW_TRANSFORMS, "doubled", f"{__name__}:unused")
    monkeypatch.setattr("pipeline.models.row_transforms.transform.load", lambda place: Doubled)
    recipe = replace(find("linear", tmp_path), rows=["doubled"])
    extra = table(4, "tr")  # the ids of training rows, and other rows
    extra = replace(extra, texts=np.array([["one"], ["two"], ["three"], ["four"]], dtype=object))
    job = make_job(tmp_path, Eavesdropper, recipe=recipe, extra=extra)
    part = Part(42, 0, 1)
    train_fold(job, part, METRIC, Silent())
    found, manifest = read_fold(job.predictions(part))
    assert set(found.valid_ids) <= set(job.tables.train.ids)
    assert (found.valid == 0).all(), "a held-out row was trained on"
    read = 31 - len(found.valid_ids) + 4
    assert manifest["train_rows"] == 2 * read, "one of each"
    assert manifest["rows_made"] == {"1-doubled": read}
    heard = job.factory.made[0].heard
    assert sum(each.endswith("doubled") for each in heard) == read
    assert sum("extra" in each for each in heard) == 2 * 4


@pytest.mark.parametrize("model", ["linear", nightly("tiny")])
def test_a_killed_fold_ends_in_the_same_bytes(tmp_path, monkeypatch, model):
    asked = ["--model", model, "--set", "rows=[swap, both-equal]"]
    whole = toy_competition(tmp_path)
    killed = Path(shutil.copytree(whole, tmp_path / "killed"))
    assert cv(whole, *asked, "--only-fold", "0") == 0
    with monkeypatch.context() as patch:
        inject(patch, "step:15:raise" if model == "tiny" else "trained:1:raise")
        with pytest.raises(Injected):
            main(["--root", str(killed), *asked, "--only-fold", "0"])
    assert not predictions(killed)
    assert cv(killed, *asked, "--only-fold", "0") == 0
    assert list(predictions(killed).values()) == list(predictions(whole).values())


def test_folds_made_by_another_version_are_not_mixed_in(toy, tmp_path, monkeypatch):
    recipe = replace(find("linear", tmp_path), rows=["swap"])
    job = make_job(tmp_path, recipe=recipe, competition=COMPETITION)
    assert job.settings["row_transforms"] == {"1-swap": {"version": 1}}
    trained(job)
    monkeypatch.setattr(Swap, "version", 2)
    with pytest.raises(ArtifactError, match=r"row_transforms.1-swap.version: 1 before, 2 now"):
        trained(make_job(tmp_path, recipe=recipe, competition=COMPETITION))


def test_a_recipe_that_makes_no_rows_is_written_as_before(tmp_path):
    for model in ("linear", "boosting", "minilm"):
        assert "rows" not in as_values(find(model, tmp_path))
        assert find(model, tmp_path, ["rows=[]"]).name == find(model, tmp_path).name
    assert "row_transforms" not in make_job(tmp_path).settings


def test_where_rows_are_drawn_seeds_matter(toy):
    from tests.training.test_jobs import job_of

    assert job_of(toy, "--seed", "1", "2", "--set", "rows=[swap]").seeds == [1]
    assert job_of(toy, "--seed", "1", "2", "--set", "rows=[{swap: {share: 0.5}}]").seeds == [1, 2]


WRONG = {
    "[swop]": "there is no 'swop'; did you mean 'swap'?",
    "[{swap: {shre: 2}}]": "swap: no option shre; it has: share, copies, labels, rare",
    "[{swap: {share: 2}}]": "swap: share is 2; it must be above 0, at most 1",
    "[{swap: 3}]": "swap: 3 are no options",
    "[{swap: {}, both-equal: {}}]": "expected a name, or name: options",
}


@pytest.mark.parametrize("rows", WRONG)
def test_settings_that_do_not_hold_are_refused_with_what_would(rows, tmp_path):
    with pytest.raises(UsageError) as told:
        find("linear", tmp_path, [f"rows={rows}"])
    assert WRONG[rows] in str(told.value)


def test_what_does_not_fit_the_competition_is_refused_before_anything_is_trained(
    toy, competition, capsys
):
    one = ["--columns.texts", "[sentence_1]"]
    assert cv(toy, "--model", "linear", *one, "--set", "rows=[swap]") == 2
    assert "rows: swap: it is about pairs, and columns.texts names 1" in capsys.readouterr().err
    label = "rows=[{swap: {labels: [5, 3]}}]"
    assert cv(toy, "--model", "linear", "--set", label) == 2
    assert "expected the lowest number and the highest" in capsys.readouterr().err
    open_ended = replace(competition, task=replace(competition.task, label_range=None))
    with pytest.raises(UsageError, match=r"set task.label_range, or set its label"):
        check_steps("rows", steps_of(["both-equal"]), Place(competition=open_ended, root=toy))


def test_the_page_and_the_manifest_say_what_is_made(toy, capsys):
    assert cv(toy, "--model", "linear", "--set", "rows=[swap]", "--only-fold", "1") == 0
    assert "training rows by swap" in capsys.readouterr().out
    name = find("linear", toy, ["rows=[swap]"]).name
    fold = json.loads((toy / "oof" / "toy" / name / "seed-42" / "fold-1.json").read_text())
    assert fold["settings"]["recipe"]["rows"] == ["swap"]
    assert fold["train_rows"] == 40 + fold["rows_made"]["1-swap"]
