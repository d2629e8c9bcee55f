"""Templates: what a learner reads of a row; entities by their offsets; nothing else changes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.base.command import run
from pipeline.base.config import ColumnsConfig, Competition, as_dict
from pipeline.base.errors import DataError, UsageError
from pipeline.base.inputs import EntityConfig
from pipeline.base.parser import read_section
from pipeline.base.paths import Workspace
from pipeline.cv import main
from pipeline.data.table import Table
from pipeline.data.tables import load
from pipeline.data.template import View, marked_texts
from pipeline.models.learner import Silent
from pipeline.models.recipes import as_values, find
from pipeline.setup.config_file import render
from pipeline.training.jobs import make_factory
from pipeline.training.options import FailurePolicy
from tests.toy import toy_competition

BY_HAND = ["columns.texts=[sentence_1]", "columns.features=[genre]"]
COLUMNS = ColumnsConfig(id="id", texts=["a", "b"], targets=["y"], features=["n"])


def table(**features: list[str]) -> Table:
    return Table(
        ids=np.array(["0", "1"], object),
        texts=np.array([["A", "B"], ["C [SEP] c", ""]], object),
        features={name: np.array(column, object) for name, column in features.items()},
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = toy_competition(tmp_path_factory.mktemp("template"))
    for name in ("train.csv", "test.csv"):
        frame = pd.read_csv(root / name, dtype=str)
        frame["genre"] = ["news", "forum", "verse"] * (len(frame) // 3) + ["news"] * (
            len(frame) % 3
        )
        frame.to_csv(root / name, index=False)
    return root


def competition(root: Path, *settings: str) -> Competition:
    return read_section(Competition, root / "configs" / "default.yaml", settings)


def test_sides_are_filled_in_and_put_together_by_the_learners_own_separator():
    view = View(COLUMNS, ["{a} [SEP] n={n}", "{b}"])
    assert view(table(n=["1", "2"]), " | ").texts.tolist() == [
        ["A | n=1", "B"],
        ["C [SEP] c | n=2", ""],
    ]


def test_what_cleans_texts_is_done_between_separators_and_not_to_them():
    view = View(COLUMNS, ["{a}  [SEP] {n}"])
    assert view(table(n=["X", "Y"]), " [S] ", str.lower).texts.tolist() == [
        ["a [S] x"],
        ["c [sep] c [S] y"],
    ]


@pytest.mark.parametrize(
    ("sides", "told"),
    [
        (["{a} {c}"], r"names \{c\}; it can name what .* list: a, b, n"),
        (["{a", "{b}"], "a brace that is not closed"),
        (["no column"], "names no column in braces"),
        (["{a}", "{b}", "{n}"], r"has 3 entries; expected one, or two for pairs"),
    ],
)
def test_a_template_that_cannot_be_is_refused_with_what_could(sides, told):
    with pytest.raises(UsageError, match=told):
        View(COLUMNS, sides)
    with pytest.raises(UsageError, match=told):
        ColumnsConfig(id="id", texts=["a", "b"], targets=["y"], features=["n"], template=sides)


def test_more_than_two_texts_take_a_template():
    with pytest.raises(UsageError, match=r"3 columns; expected 1.*or a columns\.template"):
        ColumnsConfig(id="id", texts=["a", "b", "c"], targets=["y"])
    many = ColumnsConfig(id="id", texts=["a", "b", "c"], targets=["y"], template=["{a} {b} {c}"])
    assert many.named == ["a", "b", "c"]


def entity(**more: str) -> EntityConfig:
    usual = {"text": "s", "start": "from", "end": "to", "end_is": "last", "type": "kind"}
    return EntityConfig(**{**usual, **more})


def test_entities_in_each_other_and_side_by_side_keep_their_marks_in_order():
    frame = pd.DataFrame(
        {"s": ["New York mayor"], "from": ["0"], "to": ["7"], "kind": ["LOC"], "all": ["13"]}
    )
    outer = entity(end="all", type="kind", mark="<{type}> {text} </>")
    found, problems = marked_texts(frame, [entity(mark="[{text}]"), outer], np.array(["7"]))
    assert (found["s"].tolist(), problems) == (["<LOC> [New York] mayor </>"], [])
    beside = pd.DataFrame({"s": ["ab"], "p": ["0"], "q": ["1"]})
    two = [
        entity(start=place, end=place, type=None, mark=f"{place}{{text}}{place}") for place in "pq"
    ]
    assert marked_texts(beside, two, np.array(["7"]))[0]["s"].tolist() == ["papqbq"]


def test_offsets_that_are_no_place_in_the_text_name_their_rows():
    frame = pd.DataFrame(
        {
            "s": ["short"] * 4,
            "from": ["0", "3", "-1", "x"],
            "to": ["4", "5", "2", "4"],
            "kind": ["A"] * 4,
        }
    )
    told = marked_texts(frame, [entity()], np.array(["a", "b", "c", "d"]))[1]
    assert told == [
        "from and to are no place in s: id b (3 to 5 of 5 characters), id c (-1 to 2 of 5 "
        "characters), id d (x to 4 of 5 characters). Mend them; or do without marks: take "
        "columns.entities out and set columns.template to '{s}' (init: --template '{s}')"
    ]


@pytest.mark.parametrize("mark", ["@ {type} @", "{text} {text}", "{text} {word}"])
def test_a_mark_has_the_text_once_and_nothing_else_but_the_type(mark):
    with pytest.raises(UsageError, match=r"expected \{text\} once"):
        entity(mark=mark)


def test_a_config_without_them_is_written_as_before(root):
    assert not {"template", "entities"} & set(as_dict(competition(root).columns))
    assert "template" not in as_values(find("linear", root))
    assert find("linear", root, ["template=[]"]).name == "linear"
    assert "template" not in render(competition(root), {})


def test_what_init_writes_of_them_reads_back(tmp_path):
    columns = ColumnsConfig(
        id="id", texts=["s"], targets=["y"], template=["{s!marked}: {s}"], entities=[entity()]
    )
    usual = competition(toy_competition(tmp_path))
    meant = Competition(name="a", data=usual.data, columns=columns, task=usual.task)
    (tmp_path / "a.yaml").write_text(render(meant, {}), encoding="utf-8")
    assert read_section(Competition, tmp_path / "a.yaml") == meant


def predicted(root: Path, model: str, settings: list[str], template: list[str], by_hand=None):
    """Test predictions; *by_hand*: the texts that the learner gets instead of those of a file."""
    contest = competition(root, *BY_HAND, *settings)
    tables = load(contest, root)
    recipe = find(model, root, [f"template={json.dumps(template)}"] if template else [])
    factory = make_factory(recipe, contest, FailurePolicy())
    rows = [by_hand(table) if by_hand else table for table in (tables.train, tables.test)]
    factory.prepare(rows, Silent())
    learner = factory.make(seed=3)
    learner.fit(rows[0], Workspace(root / "runs" / "a", "fingerprint"), Silent())
    found = learner.predict(rows[1], Silent())
    learner.save(root / "runs" / "saved")
    np.testing.assert_array_equal(
        factory.load(root / "runs" / "saved").predict(rows[1], Silent()), found
    )
    shutil.rmtree(root / "runs")
    return found


@pytest.mark.parametrize("model", ["linear", "tiny"])
def test_every_learner_reads_the_template_of_the_config_or_of_its_recipe(root, model):
    shape = ["{sentence_1} [SEP] {genre}"]
    between = {"linear": " [SEP] ", "tiny": "[SEP] "}[model]

    def by_hand(table: Table) -> Table:
        rows = zip(table.texts[:, 0], table.features["genre"], strict=True)
        texts = np.array([[f"{text}{between}{kind}"] for text, kind in rows], object)
        return Table(ids=table.ids, texts=texts, targets=table.targets, features=table.features)

    given = predicted(root, model, [f"columns.template={json.dumps(shape)}"], [])
    np.testing.assert_array_equal(given, predicted(root, model, [], shape))
    np.testing.assert_array_equal(given, predicted(root, model, [], [], by_hand))
    assert (given != predicted(root, model, [], [])).any()


def test_a_recipes_template_makes_another_run_on_the_same_folds(root):
    argv = ["--root", str(root), "--columns.features=[genre]", "--model", "linear"]
    other = 'template=["{sentence_1}: {genre}", "{sentence_2}"]'
    assert run(main, argv) == 0
    assert run(main, [*argv, "--set", other]) == 0
    runs = {
        path.parent.name: json.loads(path.read_text()) for path in root.glob("oof/*/*/run.json")
    }
    name = find("linear", root, [other]).name
    assert set(runs) == {"linear", name}
    assert name.startswith("linear-")
    assert runs["linear"]["passport"] == runs[name]["passport"]
    assert runs[name]["recipe"]["template"] == ["{sentence_1}: {genre}", "{sentence_2}"]


def test_a_column_that_the_files_lack_is_asked_for(root):
    wrong = ["columns.features=[genre, source]", 'columns.template=["{sentence_1} {source}"]']
    with pytest.raises(DataError, match="there is no column 'source'"):
        load(competition(root, *wrong), root)


def test_objects_in_the_cells_of_a_csv_file_give_their_fields(tmp_path):
    root = toy_competition(tmp_path)
    for name in ("train.csv", "test.csv"):
        frame = pd.read_csv(root / name, dtype=str)
        frame["at"] = ["{'start': 0, 'end': 1, 'kind': 'X'}"] * len(frame)
        frame.to_csv(root / name, index=False)
    where = "{text: sentence_1, start: at.start, end: at.end, end_is: after, type: at.kind}"
    entities = f"columns.entities=[{where}]"
    tables = load(competition(root, entities, 'columns.template=["{sentence_1!marked}"]'), root)
    first, marked = tables.test.texts[0, 0], tables.test.marked["sentence_1"][0]
    assert marked == f"@ * X * {first[0]} @{first[1:]}"
