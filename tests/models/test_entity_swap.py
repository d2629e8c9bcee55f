"""`rows: [entity-swap]`: documents whose entities are others of the same type."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.errors import UsageError
from pipeline.base.parser import read_section
from pipeline.cv import main
from pipeline.data.table import Table
from pipeline.data.tables import load
from pipeline.models.row_transforms.transform import (
    Place,
    augmented,
    check_steps,
    originals,
    steps_of,
)
from pipeline.oof.predictions import read_fold
from pipeline.problems.entities import inventory_of
from tests.test_tags import asking
from tests.test_tags import competition as write
from tests.toy import toy_competition

NOBODY = np.array([], dtype=object)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("names")
    write(root)
    return root


@pytest.fixture(scope="module")
def competition(root) -> Competition:
    return read_section(Competition, root / "names.yaml", [])


@pytest.fixture(scope="module")
def rows(root, competition) -> Table:
    return load(competition, root).train


def made(rows: Table, competition: Competition, seed: int = 7, **options) -> Table:
    place = Place(competition=competition, root=Path(), seed=seed)
    found = augmented(rows, steps_of([{"entity-swap": options}]), place, NOBODY)[0]
    assert found.rows(originals(found)).ids.tolist() == rows.ids.tolist()
    return found.rows(~originals(found))


def parts(table: Table, competition: Competition):
    """Of each document its text without entities, the types of these in order, and their names."""
    inventory = inventory_of(tuple(competition.task.classes))
    begin, end, kind = inventory.entities(table.targets[:, 0].astype(int), table.units.first)
    for document in table.units.documents:
        own = [at for at in range(len(begin)) if document.start <= begin[at] < document.stop]
        words = table.texts[document, 0].tolist()
        pieces = (table.texts[document, 0] + table.units.after[document]).tolist()
        names, around, last = [], [], 0
        for at in own:
            first, behind = begin[at] - document.start, end[at] + 1 - document.start
            kept = table.units.after[begin[at] + behind - first - 1]
            around += ["".join(pieces[last:first]), f"<{inventory.types[kind[at]]}>{kept}"]
            name = "".join([*pieces[first : behind - 1], words[behind - 1]])
            names.append((inventory.types[kind[at]], name))
            last = behind
        yield "".join([*around, "".join(pieces[last:])]), names


def test_what_stands_around_stays_and_names_are_others_of_their_type(rows, competition):
    behind = np.array([" " * (1 + place % 3) for place in range(len(rows))], dtype=object)
    rows = replace(rows, units=replace(rows.units, after=behind))
    new = made(rows, competition, entities=1.0)
    before = dict(zip(rows.units.document[rows.units.first], parts(rows, competition), strict=True))
    known = {name for _, names in before.values() for name in names}
    assert len(new.units.documents) > 20
    for document, (around, names) in zip(new.units.documents, parts(new, competition), strict=True):
        home = str(new.units.document[document.start]).split("\0")[0]
        told, old = before[home]
        assert around == told
        assert set(names) <= known
        assert all(one[0] == two[0] and one != two for one, two in zip(names, old, strict=True))
        assert new.targets[document, 1].tolist() == list(range(document.stop - document.start))
    assert set(new.parents) <= set(rows.ids)
    assert len(set(new.ids)) == len(new)


def test_what_is_drawn_is_the_seeds_and_documents_without_entities_have_no_children(
    rows, competition
):
    few, all_of_them = (made(rows, competition, entities=each) for each in (0.3, 1.0))
    assert 0 < len(few.units.documents) < len(all_of_them.units.documents)
    again = made(rows, competition, entities=0.3)
    assert again.texts.tolist() == few.texts.tolist()
    assert made(rows, competition, seed=8, entities=0.3).texts.tolist() != few.texts.tolist()
    none = [about for about, names in parts(rows, competition) if not names]
    assert none
    assert not {about for about, _ in parts(all_of_them, competition)} & set(none)
    bare = rows.rows(np.isin(rows.units.document, [rows.units.document[0]]))
    empty = replace(bare, targets=np.array(bare.targets) * [0, 1])
    assert len(made(empty, competition)) == 0


def test_types_are_chosen_by_name_or_because_they_are_rare(rows, competition):
    def changed(**options):
        kinds = set()
        before = dict(
            zip(rows.units.document[rows.units.first], parts(rows, competition), strict=True)
        )
        new = made(rows, competition, entities=1.0, **options)
        for document, (_, names) in zip(new.units.documents, parts(new, competition), strict=True):
            old = before[str(new.units.document[document.start]).split("\0")[0]][1]
            kinds |= {one[0] for one, two in zip(names, old, strict=True) if one != two}
        return kinds

    assert changed() == {"PER", "LOC"}
    assert changed(labels=["LOC"]) == {"LOC"}
    assert changed(rare=0.5) == {"LOC"}


@pytest.mark.parametrize(
    ("options", "says"),
    [({"labels": ["ORG"]}, "there are: PER, LOC"), ({"entities": 0.0}, "above 0")],
)
def test_what_does_not_fit_is_refused(competition, options, says):
    place = Place(competition=competition, root=Path())
    with pytest.raises(UsageError, match=says):
        check_steps("rows", steps_of([{"entity-swap": options}]), place)


def test_a_competition_without_entities_is_told(tmp_path):
    toy = toy_competition(tmp_path)
    numbers = read_section(Competition, toy / "configs" / "default.yaml", [])
    with pytest.raises(UsageError, match="swaps entities, which regression has none of"):
        check_steps("rows", steps_of(["entity-swap"]), Place(competition=numbers, root=toy))


def test_a_run_learns_from_them_and_answers_about_the_documents_that_were_read(root, capsys):
    words = [*asking(root), "--model", "crf", "--set", "iterations=5"]
    assert run(main, [*words, "--set", "rows=[entity-swap]"]) == 0
    assert "entity-swap" in capsys.readouterr().out
    assert run(main, words) == 0
    runs = sorted(path for path in (root / "oof" / "names").iterdir() if path.is_dir())
    one, two = (read_fold(sorted(path.glob("seed-42/*.npz"))[0])[0] for path in runs)
    assert one.valid_ids.tolist() == two.valid_ids.tolist()
    assert one.valid.shape == two.valid.shape
    assert not np.array_equal(one.valid, two.valid)
