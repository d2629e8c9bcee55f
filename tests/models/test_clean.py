"""`clean` in a recipe: the learner sees cleaned texts, whichever it is; nothing else changes."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.errors import UsageError
from pipeline.base.parser import read_section
from pipeline.base.paths import Workspace
from pipeline.cv import main
from pipeline.data.table import Table
from pipeline.data.tables import load
from pipeline.models.clean import cleaned, collapse_spaces
from pipeline.models.korean import LONGEST, remembered
from pipeline.models.learner import Silent
from pipeline.models.recipes import as_values, find
from pipeline.training.jobs import make_factory
from pipeline.training.options import FailurePolicy
from tests.toy import toy_competition

CLEAN = "clean=[lower, collapse-spaces]"


def wide(text: str) -> str:
    return "".join(chr(ord(each) + 0xFEE0) if each.isalpha() else each for each in text)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A competition with spaced-out texts, every other of them shouted in full-width letters."""
    root = toy_competition(tmp_path_factory.mktemp("loud"))
    for name in ("train.csv", "test.csv"):
        with (root / name).open(newline="") as stream:
            header, *rows = csv.reader(stream)
        for number, row in enumerate(rows):
            row[1] = f"  {wide(row[1].upper())}\n" if number % 2 else row[1].replace(" ", "   ")
        with (root / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
    return root


def predicted(root: Path, model: str, clean: list[str], by_hand: list[str]) -> np.ndarray:
    """Test predictions of one learner; *clean* in its recipe, its tables cleaned *by_hand*."""
    columns = ["columns.texts=[sentence_1]"]  # of a pair, linear sees no case and no form
    competition = read_section(Competition, root / "configs" / "default.yaml", columns)
    tables = load(competition, root)
    recipe = find(model, root, [f"clean={json.dumps(clean)}"])
    factory = make_factory(recipe, competition, FailurePolicy())
    train, test = cleaned(tables.train, by_hand), cleaned(tables.test, by_hand)
    factory.prepare([train, test], Silent())
    learner = factory.make(seed=3)
    learner.fit(train, Workspace(root / "runs" / "a", "fingerprint"), Silent())
    found = learner.predict(test, Silent())
    learner.save(root / "runs" / "saved")
    again = factory.load(root / "runs" / "saved").predict(test, Silent())
    np.testing.assert_array_equal(again, found)
    shutil.rmtree(root / "runs")
    return found


def cv(root: Path, *argv: str) -> int:
    return run(main, ["--root", str(root), *argv])


def table(*rows: list[str]) -> Table:
    ids = np.array([str(place) for place in range(len(rows))], dtype=object)
    return Table(ids=ids, texts=np.array(rows, dtype=object).reshape(len(rows), -1))


def test_transforms_are_done_in_the_order_of_the_list():
    found = cleaned(table(["ＡＢ  Ｃ", " d "]), ["nfkc", "lower", "collapse-spaces"])
    assert found.texts.tolist() == [["ab c", "d"]]
    assert cleaned(table(["\u0130"]), ["lower", "nfkc"]).texts.tolist() == [["i\u0307"]]


def test_the_table_that_was_given_stays_as_it_was():
    given = table(["A  b"])
    cleaned(given, ["lower", "collapse-spaces"])
    assert given.texts.tolist() == [["A  b"]]


def test_an_empty_table_stays_empty_and_keeps_its_columns():
    assert cleaned(table(["A", "B"]).rows(np.zeros(1, bool)), ["lower"]).texts.shape == (0, 2)


def test_every_kind_of_white_space_is_collapsed():
    assert collapse_spaces("\u00a0a\u2003\r\n b\u3000") == "a b"


@pytest.mark.parametrize("model", ["linear", "tiny"])
def test_a_learner_sees_what_it_would_see_had_the_files_been_cleaned(root, model):
    names = ["nfkc", "lower", "collapse-spaces"]
    done = predicted(root, model, names, by_hand=[])
    np.testing.assert_array_equal(done, predicted(root, model, [], by_hand=names))
    assert (done != predicted(root, model, [], by_hand=[])).all()


def test_the_run_is_named_after_it_and_its_manifest_says_so(root):
    assert cv(root, "--model", "linear", "--set", CLEAN) == 0
    name = find("linear", root, [CLEAN]).name
    assert name.startswith("linear-")
    manifest = json.loads((root / "oof" / "toy" / name / "run.json").read_text())
    assert manifest["recipe"]["clean"] == ["lower", "collapse-spaces"]
    fold = json.loads((root / "oof" / "toy" / name / "seed-42" / "fold-0.json").read_text())
    assert fold["settings"]["recipe"]["clean"] == ["lower", "collapse-spaces"]


def test_a_recipe_that_cleans_nothing_is_written_as_before(tmp_path):
    assert "clean" not in as_values(find("linear", tmp_path))
    assert not {"clean", "head"} & set(as_values(find("minilm", tmp_path)))
    assert find("linear", tmp_path, ["clean=[]"]).name == "linear"


def test_the_page_says_what_is_done_to_texts(root, capsys):
    assert cv(root, "--model", "linear", "--set", CLEAN, "--dry-run") == 0
    assert "texts cleaned by lower, collapse-spaces" in capsys.readouterr().out


def test_a_transform_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(UsageError, match=r"'nfkc'.*'collapse-spaces'.*'lower'"):
        find("linear", tmp_path, ["clean=[stem]"])


def test_a_text_is_taken_apart_once_however_many_folds_read_it():
    asked = []

    @remembered
    def change(text):
        asked.append(text)
        return text[::-1]

    long = "글" * (LONGEST + 1)
    assert [change(each) for each in ("가나", "가나", "다", long, long)][:3] == [
        "나가",
        "나가",
        "다",
    ]
    assert asked == ["가나", "다", long, long], "very long ones are not kept in memory"
    assert change.__name__ == "change"
