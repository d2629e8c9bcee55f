"""Runs that were damaged, mixed or made up: refused with exit code 5 and the reason."""

import io
import json
import os
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.errors import ArtifactError
from pipeline.base.files import commit_json, read_json, sha256
from pipeline.base.paths import Paths
from pipeline.data.join import SAMPLED, SAMPLED_UNITS, kept_by_fold, sampled
from pipeline.ensemble.__main__ import main
from pipeline.oof.predictions import ARRAYS, LABELS, read_fold, read_run
from tests.base.test_untrusted import Evil, array_bytes, npz, object_array
from tests.blendable import Toy, make
from tests.ensemble.toys import CLASSES


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> Toy:
    root = tmp_path_factory.mktemp("untouched")
    made = make(root, "multiclass", "accuracy", n=60, m=8, sample=(["topic"], ["art"]))
    made.add_run("good", 0.5)
    made.add_run("bad", 0.7)
    return made


@pytest.fixture
def toy(untouched, tmp_path) -> Toy:
    root = tmp_path / "root"
    shutil.copytree(untouched.root, root)
    return replace(untouched, root=root, paths=Paths(root, "toy"))


def refusal(toy: Toy, capsys: pytest.CaptureFixture[str]) -> str:
    """What the ensemble command says; it must end with 5 and write nothing."""
    assert run(main, toy.arguments()) == 5
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert not (toy.root / "submissions").exists()
    return message


def part(toy: Toy, fold: int = 0, seed: int = 42) -> Path:
    return toy.paths.fold_predictions("bad", seed, 0, fold)


def accept(toy: Toy, path: Path) -> None:
    """Make both manifests vouch for the bytes at *path*, as an attacker would."""
    fold = read_json(path.with_suffix(".json"))
    commit_json(path.with_suffix(".json"), fold | {"predictions_sha256": sha256(path)})
    manifest = read_json(toy.paths.run_manifest("bad"))
    name = f"{path.parent.name}/{path.stem}"
    manifest["parts"][name] = sha256(path)
    commit_json(toy.paths.run_manifest("bad"), manifest)


def rewrite(toy: Toy, fold: int = 0, **changed: Any) -> None:
    """Put other arrays into a part; None leaves one out."""
    path = part(toy, fold)
    predictions, _ = read_fold(path)
    arrays = {name: getattr(predictions, name) for name in ARRAYS} | changed
    arrays = {name: np.asarray(array) for name, array in arrays.items() if array is not None}
    npz(path, {name: array_bytes(array) for name, array in arrays.items()})
    accept(toy, path)


def change_manifest(toy: Toy, **changed: Any) -> None:
    path = toy.paths.run_manifest("bad")
    commit_json(path, read_json(path) | changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test": None}, "it lacks test; delete it and train the fold again"),
        ({"valid": np.zeros((3, 4), np.float32)}, "valid is float32 (3, 4), expected numbers for"),
        ({"test": np.zeros((8, 3), np.float32)}, "test is float32 (8, 3), expected numbers for 8"),
        ({"test": np.zeros(8, np.float32)}, "test is float32 (8,), expected numbers for 8 rows"),
        ({"test": np.full((8, 4), "0.5")}, "test is <U3 (8, 4), expected numbers"),
        ({"test": np.zeros((8, 4), complex)}, "test is complex128 (8, 4), expected numbers"),
        ({"test_ids": np.arange(8)}, "test_ids is int64 (8,), expected one text per row"),
        ({"test_ids": ["test-0000"] * 8}, "test_ids names a row twice"),
    ],
)
def test_arrays_that_are_no_predictions_are_refused(toy, capsys, changed, message):
    rewrite(toy, **changed)
    found = refusal(toy, capsys)
    assert "fold-0.npz holds no predictions of one fold" in found
    assert message in found


def test_a_third_axis_is_refused_though_all_arrays_have_it(toy, capsys):
    fold, _ = read_fold(part(toy))
    deep = {name: getattr(fold, name)[:, :, None] for name in ("valid", "test", "holdout")}
    rewrite(toy, **deep)
    assert "valid is float32 (15, 4, 1), expected numbers for 15 rows" in refusal(toy, capsys)


def test_other_numbers_of_columns_are_refused(toy, capsys):
    fold, _ = read_fold(part(toy))
    narrow = {name: getattr(fold, name)[:, :3] for name in ("valid", "test", "holdout")}
    rewrite(toy, **narrow)
    assert f"predicts 3 columns, but {toy.paths.run_manifest('bad')} names ['art'" in refusal(
        toy, capsys
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_out_of_fold_predictions_that_are_not_finite_are_refused_with_their_rows(
    toy, capsys, value
):
    fold, _ = read_fold(part(toy))
    broken = fold.valid.copy()
    broken[1, 2] = value
    rewrite(toy, valid=broken)
    message = refusal(toy, capsys)
    assert "holds predictions that are not finite, first for" in message
    assert str(fold.valid_ids[1]) in message


def test_a_row_twice_and_another_missing_is_refused(toy, capsys):
    fold, _ = read_fold(part(toy))
    ids = fold.valid_ids.copy()
    ids[0] = ids[1]
    rewrite(toy, valid_ids=ids)
    assert "valid_ids names a row twice" in refusal(toy, capsys)


def test_test_rows_of_another_file_are_refused_by_id(toy, capsys):
    fold, _ = read_fold(part(toy))
    ids = fold.test_ids.copy()
    ids[3] = "stranger"
    rewrite(toy, test_ids=ids)
    message = refusal(toy, capsys)
    assert "1 of its rows have no prediction, or more than one: ['test-0003']" in message
    assert "1 of its rows are not in today's files: ['stranger']" in message


def test_folds_that_were_exchanged_in_a_second_seed_are_found_out(toy, capsys):
    """Each row is still predicted once, but by learners that have seen it."""
    shutil.copytree(part(toy).parent, part(toy, seed=43).parent)
    for suffix in (".npz", ".json"):
        first, second = (part(toy, fold, 43).with_suffix(suffix) for fold in (0, 1))
        aside = first.with_name("aside")
        first.rename(aside)
        second.rename(first)
        aside.rename(second)
    parts = {
        f"seed-{seed}/fold-{fold}": sha256(part(toy, fold, seed))
        for seed in (42, 43)
        for fold in range(4)
    }
    change_manifest(toy, seeds=[42, 43], parts=parts)
    assert "its fold 0 of seed 43 holds other rows than that fold, first" in refusal(toy, capsys)


def test_a_copy_of_a_run_is_flagged_by_the_names_of_both_folders(toy, capsys):
    shutil.copytree(toy.paths.run("good"), toy.paths.run("good-copy"))
    assert run(main, toy.arguments("--dry-run")) == 0
    assert (
        "good-copy is left out: its predictions correlate 1.000000 with those of good"
        in capsys.readouterr().out
    )


def test_a_run_with_its_classes_swapped_and_said_so_is_refused(toy, capsys):
    change_manifest(toy, outputs=CLASSES[::-1])
    assert "run bad predicts the columns ['world'" in refusal(toy, capsys)


# --- manifests


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": 2}, "has format 2, Foldstack"),
        ({"format": 0}, "reads format 1. Update Foldstack to the version that wrote it, or train"),
        ({"format": "v3"}, "has format 'v3'"),
        ({"seeds": "42"}, "has '42' as seeds: it is damaged"),
        ({"seeds": [{}]}, "as seeds: it is damaged"),
        ({"passport": None}, "has None as passport: it is damaged"),
        ({"parts": []}, "has [] as parts: it is damaged"),
        ({"repeats": 10**12}, "lists 4 parts, which are not those of seeds [42], 1000000000000"),
        ({"repeats": 2}, "which are not those of seeds [42], 2 repeats and 4 folds"),
        ({"seeds": [43]}, "lists 4 parts, which are not those of seeds [43]"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused(toy, capsys, changed, message):
    change_manifest(toy, **changed)
    assert message in refusal(toy, capsys)


@pytest.mark.parametrize("name", ["../good/seed-42/fold-0", "/etc/passwd", "seed-42/../../x"])
def test_the_name_of_a_part_cannot_lead_out_of_the_run(toy, capsys, name):
    parts = read_json(toy.paths.run_manifest("bad"))["parts"]
    first = next(iter(parts))
    change_manifest(toy, parts={name if old == first else old: parts[old] for old in parts})
    assert "lists 4 parts, which are not those of" in refusal(toy, capsys)


def test_more_repeats_than_the_folds_have_are_refused(toy, capsys):
    parts = read_json(toy.paths.run_manifest("bad"))["parts"]
    more = {name.replace("fold", "repeat-1-fold"): digest for name, digest in parts.items()}
    change_manifest(toy, repeats=2, parts=parts | more)
    assert "run bad has 2 repeats, today's folds have 1" in refusal(toy, capsys)


def test_a_fold_of_a_later_format_is_refused_also_before_training_goes_on(toy):
    path = part(toy).with_suffix(".json")
    commit_json(path, read_json(path) | {"format": 2})
    with pytest.raises(ArtifactError, match=r"fold-0\.json has format 2, Foldstack .* format 1"):
        read_fold(part(toy))


def test_format_1_may_be_written_down(toy):
    change_manifest(toy, format=1)
    path = part(toy).with_suffix(".json")
    commit_json(path, read_json(path) | {"format": 1})
    assert run(main, toy.arguments("--dry-run")) == 0


def test_a_manifest_without_a_digest_vouches_for_nothing(toy, capsys):
    commit_json(part(toy).with_suffix(".json"), {"fold": 0})
    assert "fold-0.npz has changed since it was written" in refusal(toy, capsys)


# --- what runs code, or leads away


def test_a_malicious_part_is_never_unpickled_though_all_digests_fit(toy, capsys, tmp_path):
    marker = tmp_path / "marker"
    npz(part(toy), {"valid": object_array(marker)})
    accept(toy, part(toy))
    assert "holds Python objects, and pickles are never loaded here" in refusal(toy, capsys)
    assert not marker.exists()


def test_a_bomb_is_refused_though_all_digests_fit(toy, capsys):
    fold, _ = read_fold(part(toy))
    zeros = np.zeros((2_000_000, 4), np.float32)
    arrays = {name: getattr(fold, name) for name in ARRAYS} | {"test": zeros}
    members = {name: array_bytes(array) for name, array in arrays.items()}
    npz(part(toy), members, zipfile.ZIP_DEFLATED)
    accept(toy, part(toy))
    assert "is compressed, ours never are" in refusal(toy, capsys)


def test_pickles_under_other_names_in_a_run_are_never_opened(toy, tmp_path):
    marker = tmp_path / "marker"
    for name in ("fold-0.pkl", "fold-0.joblib", "oof.npy", "model.ckpt", "model.pt"):
        (part(toy).parent / name).write_bytes(pickle.dumps(Evil(marker)))
    assert run(main, toy.arguments("--dry-run")) == 0
    assert not marker.exists()


@pytest.mark.parametrize("place", [".", "seed-42", "run.json", "seed-42/fold-1.npz"])
def test_a_link_in_a_run_is_not_followed(toy, capsys, tmp_path, place):
    original = toy.paths.run("bad") / place
    outside = tmp_path / "outside"
    original.rename(outside)
    original.symlink_to(os.path.relpath(outside, original.parent))
    assert "is a link to" in refusal(toy, capsys)


# --- one origin


def set_facts(toy: Toy, fold: int, **facts: Any) -> None:
    path = part(toy, fold).with_suffix(".json")
    commit_json(path, read_json(path) | {"factory": facts})


def test_folds_of_another_tokenizer_are_not_mixed_and_both_versions_are_named(toy, capsys):
    for fold in range(4):
        version = "0.22.1" if fold < 3 else "0.23.3"
        canary = "a" * 16 if fold < 3 else "b" * 16
        versions = {"tokenizers": version, "transformers": "5.23.0", "torch": "2.13"}
        set_facts(toy, fold, tokenizer_canary=canary, versions=versions)
    message = refusal(toy, capsys)
    assert "the tokenizer output changed between the folds of" in message
    assert (
        "  - aaaaaaaaaaaaaaaa (tokenizers 0.22.1, transformers 5.23.0): "
        "seed-42/fold-0, seed-42/fold-1, seed-42/fold-2\n"
        "  - bbbbbbbbbbbbbbbb (tokenizers 0.23.3, transformers 5.23.0): seed-42/fold-3\n"
    ) in message
    assert "--fresh" in message


def test_folds_of_other_backbone_weights_are_not_mixed(toy, capsys):
    for fold in range(4):
        set_facts(toy, fold, backbone_sha256=f"{fold % 2}" * 64)
    assert "the backbone's weights changed between the folds of" in refusal(toy, capsys)


def test_other_versions_with_the_same_tokens_are_fine(toy):
    for fold in range(4):
        set_facts(toy, fold, tokenizer_canary="a" * 16, versions={"tokenizers": f"0.22.{fold}"})
    assert run(main, toy.arguments("--dry-run")) == 0


def test_a_part_is_checked_by_whoever_reads_a_run(toy):
    set_facts(toy, 0, tokenizer_canary="a" * 16)
    none = toy.folds.ids[:0]
    with pytest.raises(ArtifactError, match="the tokenizer output changed"):
        read_run(toy.paths.run("bad"), toy.folds.ids, toy.tables.test.ids, none)


def test_arrays_are_written_without_compression_so_that_the_guard_lets_them_in(toy):
    content = part(toy).read_bytes()
    with np.load(io.BytesIO(content)) as archive:
        assert set(archive.files) == {*ARRAYS, LABELS}
    assert json.loads(part(toy).with_suffix(".json").read_text())["predictions_sha256"]


def test_a_fold_says_its_format(toy):
    toy.add_fold("new", 0, 0.5)
    written = read_json(toy.paths.fold_predictions("new", 42, 0, 0).with_suffix(".json"))
    assert written["format"] == 1


def test_rows_that_are_kept_fold_by_fold_reach_from_the_first_to_the_last():
    found = sampled(10 * SAMPLED)
    assert (found[0], found[-1], len(found)) == (0, 10 * SAMPLED - 1, SAMPLED)
    assert set(np.diff(found)) <= {9, 10, 11}


def test_units_are_kept_as_whole_documents_from_the_first_to_the_last():
    sizes = np.random.default_rng(0).integers(1, 90, 3000)
    ids = np.array([f"d{d}#{u}" for d, size in enumerate(sizes) for u in range(size)], dtype=object)
    found = kept_by_fold(ids)
    assert SAMPLED_UNITS * 0.95 < len(found) <= SAMPLED_UNITS < len(ids)
    kept = [name.rpartition("#")[0] for name in ids[found]]
    assert (kept[0], kept[-1]) == ("d0", "d2999")
    assert all(kept.count(name) == sizes[int(name[1:])] for name in set(kept))
    rows = np.array([f"r{number}" for number in range(3 * SAMPLED)], dtype=object)
    assert kept_by_fold(rows).tolist() == sampled(len(rows)).tolist()
    one = np.array([f"d#{u}" for u in range(SAMPLED_UNITS + 9)], dtype=object)
    assert len(kept_by_fold(one)) == len(one)
