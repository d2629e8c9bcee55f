"""What single transforms of rows make of texts, which rows they leave out, and what rows count."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pipeline.base.command import run
from pipeline.base.config import ColumnsConfig, Competition
from pipeline.base.errors import DataError, UsageError
from pipeline.base.parser import read_section
from pipeline.base.paths import Workspace
from pipeline.cv import main
from pipeline.data.table import Table
from pipeline.data.tables import load
from pipeline.models import korean
from pipeline.models.clean import libraries_of, shorten_repeats
from pipeline.models.learner import Silent
from pipeline.models.linear.solver import Design, fit_glm
from pipeline.models.recipes import find
from pipeline.models.registry import LEARNERS, ROW_TRANSFORMS, TEXT_TRANSFORMS
from pipeline.models.row_transforms.transform import (
    Place,
    augmented,
    check_steps,
    originals,
    record_of,
    steps_of,
)
from pipeline.training.fold import with_made_rows
from pipeline.training.jobs import Part, make_factory
from pipeline.training.options import FailurePolicy
from tests.toy import toy_competition
from tests.training.toys import COMPETITION, make_job

NOBODY = np.array([], dtype=object)


def texts(*texts: str, labels=None) -> Table:
    rows = np.arange(len(texts))
    targets = rows[:, None] % 6.0 if labels is None else np.array(labels, float)[:, None]
    ids = np.array([f"r{row}" for row in rows], dtype=object)
    return Table(ids=ids, texts=np.array(texts, dtype=object)[:, None], targets=targets)


def made(rows: Table, *entries, root=Path(), competition=COMPETITION, mask=lambda: "<mask>"):
    place = Place(competition=competition, root=root, seed=3, mask=mask)
    steps = steps_of(entries)
    check_steps("rows", steps, place)
    return augmented(rows, steps, place, NOBODY)[0]


def children(*given, **more) -> list[str]:
    found = made(*given, **more)
    return found.rows(~originals(found)).texts[:, 0].tolist()


LONG = texts(*[" ".join(f"w{row}x{word}" for word in range(40)) for row in range(50)])


def test_some_words_are_left_out_in_their_order():
    found = children(LONG, {"delete-words": {"words": 0.2}})
    assert len(found) == 50
    for row, text in enumerate(found):
        words = LONG.texts[row, 0].split()
        assert [word for word in words if word in set(text.split())] == text.split()
    kept = np.mean([len(text.split()) / 40 for text in found])
    assert 0.75 < kept < 0.85
    assert children(texts("one"), {"delete-words": {"words": 0.99}}) == []


def test_aeda_puts_marks_between_words_and_keeps_them_all():
    found = children(LONG, "aeda")
    counts = set()
    for row, text in enumerate(found):
        words = text.split()
        assert [word for word in words if word not in ".;?:!,"] == LONG.texts[row, 0].split()
        counts.add(len(words) - 40)
    assert counts <= set(range(1, 14))
    assert len(counts) > 5


def test_words_are_hidden_behind_the_learners_own_mask():
    found = children(LONG, {"mask": {"words": 0.3}})
    hidden = [text.split().count("<mask>") for text in found]
    assert 0.25 < np.mean(hidden) / 40 < 0.35
    assert "[HIDE]" in " ".join(children(LONG, {"mask": {"token": "[HIDE]"}}))
    with pytest.raises(UsageError, match="has no mask"):
        made(LONG, "mask", mask=lambda: "")


def test_the_mask_of_a_fold_is_that_of_the_factory(tmp_path):
    job = make_job(tmp_path)
    job = replace(job, recipe=replace(job.recipe, rows=[{"mask": {"words": 0.9}}]))
    job.factory.mask = lambda: "(hidden)"
    table, _ = with_made_rows(job, Part(42, 0, 0), job.tables.train)
    assert "(hidden)" in " ".join(table.texts[:, 0])


def test_synonyms_come_from_a_file_and_at_least_one_word_is_replaced(tmp_path):
    (tmp_path / "s.csv").write_text("word,synonym\nbig,large\nbig,huge\ncat,feline\n")
    asked = {"synonyms": {"file": "s.csv", "copies": 8}}
    found = children(texts("A Big dog", "no such word", "the cat, big"), asked, root=tmp_path)
    assert set(found[:8]) == {"A large dog", "A huge dog"}
    assert all(re.fullmatch(r"the (cat|feline), (big|large|huge)", each) for each in found[8:])
    assert len(found) == 16
    assert "the cat, big" not in found


def test_synonyms_of_rare_labels_only(tmp_path):
    (tmp_path / "s.csv").write_text("word,synonym\nrow,line\n")
    rows = texts(*[f"row {number}" for number in range(20)], labels=[0] * 18 + [5] * 2)
    asked = {"synonyms": {"file": "s.csv", "rare": 0.2}}
    assert children(rows, asked, root=tmp_path) == ["line 18", "line 19"]


@pytest.mark.nightly
def test_korean_words_are_found_under_their_particles(tmp_path):
    (tmp_path / "s.csv").write_text("word,synonym\n고양이,괭이\n방,거실\n", encoding="utf-8")
    rows, plain = texts("고양이가 방에서 잔다"), {"file": "s.csv", "words": 0.99}
    assert children(rows, {"synonyms": plain}, root=tmp_path) == []
    found = children(rows, {"synonyms": {**plain, "morphemes": True}}, root=tmp_path)
    assert found == ["괭이가 거실에서 잔다"]


def test_variants_are_read_by_id_and_an_empty_cell_leaves_a_side_alone(tmp_path):
    lines = "id,a,b\nr0,ONE,\nr0,UNO,DUE\nr9,no,row\n"
    (tmp_path / "v.csv").write_text(lines)
    rows = texts("one", "three")
    rows = replace(rows, texts=np.array([["one", "two"], ["three", "four"]], dtype=object))
    columns = ColumnsConfig(id="id", texts=["a", "b"], targets=["label"])
    pairs = replace(COMPETITION, columns=columns)
    for copies, expected in {1: [["ONE", "two"]], 3: [["ONE", "two"], ["UNO", "DUE"]]}.items():
        asked = {"variants": {"file": "v.csv", "copies": copies}}
        found = made(rows, asked, root=tmp_path, competition=pairs)
        assert found.rows(~originals(found)).texts.tolist() == expected
    (tmp_path / "v.csv").write_text("id,text\nr1,trois\n")
    alone = {"variants": {"file": "v.csv"}}
    assert children(texts("un", "deux"), alone, root=tmp_path) == ["trois"]
    with pytest.raises(DataError, match=r"has wordings of 1 rows and none of the 1 here"):
        made(texts("un"), alone, root=tmp_path)


def test_a_file_is_part_of_what_a_fold_was_trained_with(tmp_path):
    (tmp_path / "v.csv").write_text("id,text\nr1,trois\n")
    steps = steps_of([{"variants": {"file": "v.csv"}}])
    before = record_of(steps, tmp_path)
    assert set(before["1-variants"]) == {"version", "v.csv"}
    (tmp_path / "v.csv").write_text("id,text\nr1,tres\n")
    assert record_of(steps, tmp_path) != before
    (tmp_path / "s.csv").write_text("word,synonym\na,b\n")
    korean_words = steps_of([{"synonyms": {"file": "s.csv", "morphemes": True}}])
    assert "kiwipiepy" in record_of(korean_words, tmp_path)["1-synonyms"]


def test_files_that_are_not_there_or_lack_a_column_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"variants: there is no file v.csv in"):
        made(LONG, {"variants": {"file": "v.csv"}}, root=tmp_path)
    (tmp_path / "v.csv").write_text("id,txt\nr1,trois\n")
    with pytest.raises(UsageError, match=r"v.csv: there is no column 'text'; the nearest is 'txt'"):
        made(LONG, {"variants": {"file": "v.csv"}}, root=tmp_path)


def test_rows_of_a_label_are_left_out_with_what_was_made_of_them():
    rows = texts(*[f"row {number}" for number in range(200)], labels=[0] * 150 + [3] * 50)
    found = made(rows, "aeda", {"under-sample": {"labels": [0, 1], "share": 0.6}})
    left = found.rows(originals(found))
    assert (left.targets == 3).sum() == 50
    assert 40 < (left.targets == 0).sum() < 80
    assert found.parents.tolist() == [*left.ids, *left.ids]


def test_rows_of_a_label_count_more_and_so_do_their_children():
    rows = texts("one two", "three four", labels=[0, 5])
    steps = ["aeda", {"weight": {"labels": [4, 5], "weight": 3}}, {"weight": {"weight": 0.5}}]
    found = made(rows, *steps)
    assert found.weights.tolist() == [0.5, 1.5, 0.5, 1.5]
    again = made(rows, steps[1], "aeda")
    assert again.weights.tolist() == [1, 3, 1, 3], "a child counts what its parent does"


@pytest.mark.parametrize("loss", ["squared", "sigmoid"])
def test_a_row_that_counts_twice_is_a_row_that_stands_twice(loss):
    from scipy import sparse

    random = np.random.default_rng(0)
    inputs = random.normal(size=(40, 3)).astype(np.float32)
    targets = (inputs[:, :1] + random.normal(size=(40, 1)) > 0).astype(np.float32)
    counted = np.where(np.arange(40) < 10, 2.0, 1.0)
    twice = np.repeat(np.arange(40), counted.astype(int))

    def fitted(rows, counted=None):
        dense = np.hstack([np.ones((len(rows), 1), np.float32), inputs[rows]])
        design = Design(dense, sparse.csr_array((len(rows), 0), dtype=np.float32))
        return fit_glm(design.weighed(counted), targets[rows], loss, 2.0, 1.0)

    weighed = fitted(np.arange(40), counted=counted)
    np.testing.assert_allclose(weighed, fitted(twice), atol=2e-3)
    assert np.abs(weighed - fitted(np.arange(40))).max() > 5e-3
    if loss == "squared":
        model = Ridge(alpha=2.0).fit(inputs, targets, counted)
        np.testing.assert_allclose(weighed[1:, 0], np.ravel(model.coef_), atol=2e-3)


WRONG = {
    "{delete-words: {words: 1}}": "words is 1; it must be a share",
    "{weight: {weight: 0}}": "weight is 0; it must be above 0",
    "{under-sample: {copies: 2}}": "copies is set, and no rows are made",
    "{synonyms: {words: 0.5}}": "file",
}


@pytest.mark.parametrize("entry", WRONG)
def test_options_that_do_not_hold_are_refused(entry):
    import yaml

    with pytest.raises(UsageError, match=re.escape(WRONG[entry])):
        steps_of([yaml.safe_load(entry)])


def test_every_transform_names_a_version_and_its_options():
    for name in ROW_TRANSFORMS:
        options = {"file": "x.csv"} if name in ("synonyms", "variants") else {}
        ((_, transform),) = steps_of([{name: options}])
        assert transform.version >= 1


def test_where_kiwi_is_not_installed_the_line_that_installs_it_is_said(tmp_path, monkeypatch):
    (tmp_path / "s.csv").write_text("word,synonym\na,b\n")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    install = (
        r'needs kiwipiepy, which is not installed. Install it: pip install "foldstack\[korean\]"'
    )
    with pytest.raises(UsageError, match=install):
        libraries_of(["lower", "kiwi-spacing"])
    with pytest.raises(UsageError, match=install):
        made(LONG, {"synonyms": {"file": "s.csv", "morphemes": True}}, root=tmp_path)
    assert libraries_of(["lower", "nfkc"]) == {}


def test_korean_is_spaced_mended_and_taken_apart():
    assert korean.space("띄어쓰기없이작성된텍스트네이걸교정해줘.").count(" ") >= 4
    assert korean.normalise("음식이 맛잇어욬ㅋㅋㅋ").startswith("음식이 맛있어요")
    assert korean.morphemes("고양이가 방에서 잔다") == "고양이 가 방 에서 자 ᆫ다"
    assert korean.content_words("고양이가 방에서 잔다") == "고양이 방 자"
    assert libraries_of(["kiwi-content"]) == {"kiwipiepy": korean.kiwi_release()}
    assert all(place.startswith("pipeline.models.") for place in TEXT_TRANSFORMS.values())


def test_repeats_are_shortened_but_not_numbers():
    assert shorten_repeats("ㅋㅋㅋㅋㅋ 1000 nooo") == "ㅋㅋ 1000 noo"


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return toy_competition(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize("model", ["linear", "boosting", "tiny"])
def test_every_learner_that_says_so_heeds_what_rows_count(toy, model):
    competition = read_section(Competition, toy / "configs" / "default.yaml", [])
    rows = load(competition, toy).train
    high = rows.targets[:, 0] > 3
    found = {}
    for heavy in (1.0, 1e-3):  # rows of low labels count next to nothing
        train = rows if heavy == 1 else replace(rows, weights=np.where(high, 1.0, heavy))
        settings = {"tiny": ["epochs=4", "loss=mse"], "boosting": ["depths=[2]", "least_rows=2"]}
        recipe = find(model, toy, settings.get(model, []))
        factory = make_factory(recipe, competition, FailurePolicy())
        factory.prepare([rows], Silent())
        learner = factory.make(seed=1)
        learner.fit(train, Workspace(toy / "runs" / f"{model}{heavy}", "print"), Silent())
        found[heavy] = learner.predict(rows, Silent()).mean()
        assert LEARNERS[recipe.learner].weighs
    assert found[1e-3] > found[1.0] + (0.05 if model == "tiny" else 0.3)


def test_what_a_recipe_cannot_do_beside_rows_is_refused_before_anything_is_trained(toy, capsys):
    frozen = "learner: embeddings\nbackbone: package:nothing\nrows: [weight]\n"
    (toy / "configs" / "models" / "frozen.yaml").write_text(frozen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.jobs.check_weights", lambda recipe: None)
        assert run(main, ["--root", str(toy), "--model", "frozen"]) == 2
    assert "counts all rows alike; take under-sample" in capsys.readouterr().err
    asked = ["--set", "rows=[swap]", "--set", "noise={action: drop}"]
    assert run(main, ["--root", str(toy), "--model", "linear", *asked]) == 2
    assert "rows beside noise in linear" in capsys.readouterr().err
