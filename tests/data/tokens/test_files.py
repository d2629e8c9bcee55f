"""The files of a token store: what was written comes back, what is damaged is told."""

import json
import os

import numpy as np
import pytest

from pipeline.base.errors import ArtifactError
from pipeline.data.tokens import files as tokenfiles
from pipeline.data.tokens.files import (
    ARRAYS,
    KEPT_DAYS,
    TokenArrays,
    damage_of,
    delete_unused,
    joined,
    name_of,
    stores,
)

RECORD = np.dtype([("id", "<u2"), ("type", "i1")])
KEYS = np.array([[1, 2, 2, 9, 10], [5, 0, 1, 0, 0]], dtype=np.uint64)
LENGTHS = (3, 1, 4, 2, 6)
DAY = 86_400


def shelf(*lengths: int, first: int = 0) -> TokenArrays:
    tokens = np.zeros(sum(lengths), RECORD)
    tokens["id"] = np.arange(first, first + len(tokens))
    tokens["type"] = tokens["id"] % 2
    return TokenArrays(
        tokens=tokens,
        starts=np.cumsum([0, *lengths]),
        truncated=np.array([length > 3 for length in lengths]),
    )


def write(folder, keys=KEYS):
    tokenfiles.write(folder, RECORD, keys, [shelf(3, 1), shelf(4, first=4), shelf(2, 6, first=8)])
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_written_in_parts_comes_back_mapped(tmp_path):
    keys, kept = tokenfiles.read(write(tmp_path / "store"))
    whole = shelf(*LENGTHS)
    np.testing.assert_array_equal(keys, KEYS)
    np.testing.assert_array_equal(kept.tokens, whole.tokens)
    np.testing.assert_array_equal(kept.starts, whole.starts)
    np.testing.assert_array_equal(kept.truncated, whole.truncated)
    for array in (keys, kept.tokens, kept.starts, kept.truncated):
        base = array
        while not isinstance(base, np.memmap):
            base = base.base
        assert base.mode == "r"
        assert not array.flags.writeable


def test_the_same_tokens_give_the_same_bytes_however_they_were_parted(tmp_path):
    tokenfiles.write(tmp_path / "other", RECORD, KEYS, [shelf(*LENGTHS)])
    assert contents(tmp_path / "other") == contents(write(tmp_path / "store"))


def test_the_files_are_plain_arrays_that_numpy_reads_without_pickles(tmp_path):
    folder = write(tmp_path / "store")
    assert np.load(folder / "tokens.npy", allow_pickle=False)["id"].tolist() == list(range(16))
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.npy" for name in ARRAYS),
        "store.json",
    }


def test_where_nothing_was_written_or_not_to_the_end_there_is_no_store(tmp_path):
    assert tokenfiles.read(tmp_path / "none") is None
    folder = write(tmp_path / "store")
    (folder / "store.json").unlink()
    assert tokenfiles.read(folder) is None


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(
    ("spoil", "told"),
    [(cut, "is cut off"), (flip, "has changed since"), (os.unlink, r"\.npy is missing")],
)
def test_a_damaged_file_is_found_before_it_is_mapped(tmp_path, name, spoil, told):
    folder = write(tmp_path / "store")
    spoil(folder / f"{name}.npy")
    with pytest.raises(ArtifactError, match=told):
        tokenfiles.read(folder)
    assert bool(damage_of(folder, quick=True)) == (spoil is not flip)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "bytes": 3}'])
def test_a_manifest_that_is_none_is_damage(tmp_path, content):
    folder = write(tmp_path / "store")
    (folder / "store.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"store\.json|format 99"):
        tokenfiles.read(folder)


def test_a_pickle_in_place_of_the_tokens_is_never_opened_though_its_digest_fits(tmp_path):
    folder = write(tmp_path / "store")
    np.save(folder / "tokens.npy", np.array([{}], dtype=object), allow_pickle=True)
    manifest = json.loads((folder / "store.json").read_text())
    manifest["bytes"]["tokens"] = (folder / "tokens.npy").stat().st_size
    manifest["sha256"]["tokens"] = tokenfiles.sha256(folder / "tokens.npy")
    (folder / "store.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="cannot be mapped"):
        tokenfiles.read(folder)


def test_the_name_depends_on_every_fact_and_every_key():
    facts = {"max_length": 8, "canary": "c"}
    names = {
        name_of(facts, KEYS),
        name_of(facts | {"max_length": 9}, KEYS),
        name_of(facts | {"more": None}, KEYS),
        name_of(facts, KEYS[:, :4]),
        name_of(facts, KEYS + np.uint64(1)),
    }
    assert len(names) == 5
    assert name_of(dict(reversed(facts.items())), KEYS.copy()) in names


def aged(folder, days):
    path = folder / "store.json" if (folder / "store.json").exists() else folder
    then = path.stat().st_mtime - days * DAY
    os.utime(path, (then, then))
    return folder


def test_stores_that_nobody_used_for_long_are_deleted_and_nothing_else(tmp_path):
    now, young, old, torn, foreign, run = (
        write(tmp_path / name) for name in ("1" * 32, "2" * 32, "3" * 32, "4" * 32, "mine", "5" * 9)
    )
    (torn / "store.json").unlink()
    for folder, days in ((young, KEPT_DAYS - 1), (old, KEPT_DAYS + 1), (torn, KEPT_DAYS + 1)):
        aged(folder, days)
    aged(foreign, 999)
    aged(run, 999)
    (tmp_path / ("6" * 32)).symlink_to(old)
    assert list(stores(tmp_path)) == [now, young, old, torn]
    assert delete_unused(now) == [old, torn]
    assert list(stores(tmp_path)) == [now, young]
    assert foreign.exists()
    assert run.exists()


def test_a_store_that_is_opened_counts_as_used(tmp_path):
    now, old = write(tmp_path / ("1" * 32)), aged(write(tmp_path / ("2" * 32)), 99)
    tokenfiles.read(old)
    assert delete_unused(now) == []


def test_a_shelf_gathers_rows_in_the_order_asked_for_also_twice():
    kept = shelf(*LENGTHS)
    rows = np.array([4, 0, 0, 1])
    expected = np.concatenate([kept.slice(row) for row in rows])
    np.testing.assert_array_equal(kept.gather(rows), expected)
    assert len(kept.gather(np.empty(0, np.int64))) == 0
    both = joined([kept, shelf(5)])
    np.testing.assert_array_equal(both.slice(5), shelf(5).tokens)
