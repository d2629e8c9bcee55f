"""`tta` in a recipe: wordings are predicted and averaged; how far they are apart is kept."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import bundle, predict
from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.errors import UsageError
from pipeline.base.parser import read_section
from pipeline.cv import main
from pipeline.data.tables import load
from pipeline.ensemble import __main__ as ensemble
from pipeline.ensemble.predictor import facts_of
from pipeline.models.recipes import as_values, find
from pipeline.models.row_transforms.transform import Place, check_tta, steps_of
from pipeline.models.row_transforms.wordings import averaged
from pipeline.oof.predictions import read_fold
from tests.toy import toy_competition

ASKED = ["--model", "linear", "--set", "pair_order=ordered"]
TTA = ["--set", "tta=[swap]"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Two runs of the same learner, one of which is asked about both orders of a pair."""
    root = toy_competition(tmp_path_factory.mktemp("toy"))
    for more in ([], TTA):
        assert run(main, ["--root", str(root), *ASKED, *more]) == 0
    return root


def names(root: Path) -> tuple[str, str]:
    plain = find("linear", root, ["pair_order=ordered"]).name
    return plain, find("linear", root, ["pair_order=ordered", "tta=[swap]"]).name


def fold(root: Path, name: str):
    return read_fold(root / "oof" / "toy" / name / "seed-42" / "fold-0.npz")


def test_the_mean_of_both_orders_is_kept_and_how_far_they_are_apart(root, tmp_path):
    plain, both = names(root)
    alone, _ = fold(root, plain)
    found, manifest = fold(root, both)
    turned = tmp_path / "turned"
    shutil.copytree(root, turned, ignore=shutil.ignore_patterns("oof", "runs"))
    lines = (root / "test.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    swapped = [",".join([row_id, second, first]) for row_id, first, second in cells]
    (turned / "test.csv").write_text("\n".join([lines[0], *swapped]) + "\n")
    assert run(main, ["--root", str(turned), *ASKED, "--only-fold", "0"]) == 0
    other, _ = fold(turned, plain)
    mean = (alone.test.astype(float) + other.test) / 2
    np.testing.assert_allclose(found.test, mean, atol=1e-6)
    apart = np.abs(alone.test - other.test)[:, 0]
    np.testing.assert_allclose(found.test_apart, apart, atol=1e-6)
    assert found.test_apart.max() > 1e-3
    assert found.valid_apart.shape == (len(found.valid_ids),)
    assert alone.valid_apart is None
    assert manifest["settings"]["tta"] == {"1-swap": {"version": 1}}


def test_run_json_and_the_page_name_the_rows_that_are_most_apart(root, capsys):
    plain, both = names(root)
    manifests = [
        json.loads((root / "oof" / "toy" / name / "run.json").read_text()) for name in (plain, both)
    ]
    assert "wordings_apart" not in manifests[0]
    told = manifests[1]["wordings_apart"]
    assert len(told["rows"]) == 20
    values = [*told["rows"].values()]
    assert values == sorted(values, reverse=True)
    valid = list((root / "oof" / "toy" / both).glob("seed-42/*.npz"))
    kept = dict(
        pair
        for path in valid
        for pair in zip(read_fold(path)[0].valid_ids, read_fold(path)[0].valid_apart, strict=True)
    )
    worst = max(kept, key=lambda row_id: kept[row_id])
    assert next(iter(told["rows"])) == worst
    assert run(main, ["--root", str(root), *ASKED, *TTA]) == 0
    said = capsys.readouterr().out
    assert "predicted by swap too" in said
    assert f"apart in {both}, most in rows {worst} ({kept[worst]:.4f})" in said


def test_the_second_layer_sees_it_and_new_rows_are_predicted_the_same(root, tmp_path):
    plain, both = names(root)
    other = ["--root", str(root), "--model", "linear", "--set", "char_ngrams=[4, 4]"]
    assert run(main, other) == 0
    third = find("linear", root, ["char_ngrams=[4, 4]"]).name
    asked = ["--root", str(root), "--runs", third, both, "--method", "layers"]
    assert run(ensemble.main, asked) == 0
    (csv,) = (root / "submissions").glob("toy-*-layers.csv")
    record = csv.with_suffix(".json").read_text()
    assert f'"wordings apart, {both}"' in record
    assert f'"wordings apart, {plain}"' not in record
    out = tmp_path / "new.csv"
    told = [str(root / "test.csv"), "--root", str(root), "--with", str(csv), "-o", str(out)]
    assert run(predict.main, told) == 0
    assert out.read_bytes() == csv.read_bytes()


def test_the_feature_is_cut_with_its_rows(root):
    competition = read_section(Competition, root / "configs" / "default.yaml", [])
    rows = load(competition, root).train
    facts = replace(facts_of([rows])[0], apart={"swapper": np.arange(60.0)})
    place = facts.names.index("wordings apart, swapper")
    assert facts.values.shape == (60, len(facts.names))
    assert facts.take(np.array([5, 7])).values[:, place].tolist() == [5, 7]


def test_a_row_without_another_wording_is_predicted_as_it_is(root):
    competition = read_section(Competition, root / "configs" / "default.yaml", [])
    rows = load(competition, root).test
    rows = replace(rows, texts=rows.texts.copy())
    rows.texts[0] = ["same", "same"]
    asked = []

    def lengths(table):
        asked.append(table)
        return np.array([[len(first)] for first, _ in table.texts], dtype=np.float32)

    place = Place(competition=competition, root=root)
    values, apart = averaged(lengths, rows, steps_of(["swap"]), place)
    assert len(asked) == 1
    assert asked[0].parents is None
    sides = np.array([[len(text) for text in row] for row in rows.texts.tolist()])
    np.testing.assert_allclose(values[:, 0], sides.mean(axis=1))
    np.testing.assert_allclose(apart, np.abs(sides[:, 0] - sides[:, 1]))
    assert (values[0, 0], apart[0]) == (4, 0)


WRONG = {
    "both-equal": "tta: both-equal is for training rows only",
    "under-sample": "tta: under-sample is for training rows only",
    "weight": "tta: weight is for training rows only",
    "{swap: {labels: [0, 1]}}": "labels and rare need labels, and test has none",
}


@pytest.mark.parametrize("entry", WRONG)
def test_what_needs_a_label_is_refused(root, entry):
    import yaml

    competition = read_section(Competition, root / "configs" / "default.yaml", [])
    steps = steps_of([yaml.safe_load(entry)])
    with pytest.raises(UsageError, match=re.escape(WRONG[entry])):
        check_tta("tta", steps, Place(competition=competition, root=root))


def test_a_recipe_without_it_is_written_as_before(root):
    assert "tta" not in as_values(find("linear", root))
    assert not [name for name in fold(root, names(root)[0])[1]["settings"] if "tta" in name]


def test_a_bundle_of_a_member_with_several_wordings_is_refused(root, tmp_path, capsys):
    (csv,) = (root / "submissions").glob("toy-*-layers.csv")
    out = tmp_path / "bundle"
    assert run(bundle.main, [str(csv), "--root", str(root), "-o", str(out)]) == 2
    assert "asked about several wordings (tta) is not packed" in capsys.readouterr().err
    assert not out.exists()
