"""The passport: what its digest depends on, and that damage is found."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.base.errors import ArtifactError
from pipeline.base.paths import Paths
from pipeline.data.table import Table
from pipeline.folds.frozen import frozen
from pipeline.folds.passport import check_whole, digests, draw_up, hash_rows, row_changes

N = 12
COMPETITION = Competition(
    name="toy",
    data=DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv"),
    columns=ColumnsConfig(id="id", texts=["a", "b"], targets=["label"]),
    task=TaskConfig(problem="regression", metric="pearson"),
    folds=FoldsConfig(count=3),
)
TRAIN = Table(
    ids=np.array([f"id{row}" for row in range(N)], dtype=object),
    texts=np.array([[f"left {row}", f"right {row}"] for row in range(N)], dtype=object),
    targets=np.arange(N, dtype=float)[:, None],
    source="train.csv",
)
FOLDS = np.arange(N)[None, :] % 3
GROUPS = np.arange(N) // 2


def overall(train=TRAIN, folds=FOLDS, groups=GROUPS):
    return digests(train.ids, hash_rows(train, folds, groups))["overall"]


def with_text(row, side, text):
    texts = TRAIN.texts.copy()
    texts[row, side] = text
    return replace(TRAIN, texts=texts)


def test_the_digest_does_not_depend_on_row_order_or_group_numbers():
    order = np.random.default_rng(0).permutation(N)
    assert overall(TRAIN.rows(order), FOLDS[:, order], 99 - GROUPS[order]) == overall()


def test_the_digest_is_the_same_on_every_machine_and_version():
    assert overall().startswith("053b9c1017ba674d")


@pytest.mark.parametrize(
    "changed",
    [
        {"train": with_text(3, 0, "left three")},
        {"train": with_text(3, 1, "")},
        {"train": replace(TRAIN, targets=TRAIN.targets + (np.arange(N) == 5)[:, None] * 1e-9)},
        {"train": replace(TRAIN, ids=np.array([f"id{row + 1}" for row in range(N)], dtype=object))},
        {"folds": (FOLDS + (np.arange(N) == 7)) % 3},
        {"folds": np.concatenate([FOLDS, FOLDS])},
        {"groups": np.arange(N)},
    ],
    ids=["text", "empty text", "label", "ids", "fold", "repeats", "groups"],
)
def test_the_digest_depends_on(changed):
    assert overall(**changed) != overall()


def test_moving_a_word_from_one_side_to_the_other_is_a_change():
    texts = TRAIN.texts.copy()
    texts[0] = ["left", "0 right 0"]
    assert overall(replace(TRAIN, texts=texts)) != overall()


def test_zero_has_one_sign():
    negative = TRAIN.targets.copy()
    negative[0] = -0.0
    assert overall(replace(TRAIN, targets=negative)) == overall()


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, N - 1), min_size=1))
def test_exactly_the_changed_rows_are_named(rows):
    passport = draw_up(COMPETITION, TRAIN, hash_rows(TRAIN, FOLDS, GROUPS), {}, [])
    targets = TRAIN.targets.copy()
    targets[sorted(rows)] += 1
    changed = replace(TRAIN, targets=targets)
    (message,) = row_changes(passport, changed, hash_rows(changed, FOLDS, GROUPS))
    assert message.startswith(f"the targets of {len(rows)} rows")
    first = [f"id{row}" for row in sorted(rows)][:5]
    assert message.split(": ")[1].split(" and ")[0] == ", ".join(first)


def test_texts_with_lone_surrogates_have_a_hash():
    assert overall(with_text(0, 0, "broken \ud800 text")) != overall(TRAIN)


def test_a_flipped_byte_anywhere_in_either_file_is_found(tmp_path):
    paths = Paths(tmp_path, "toy")
    first = frozen(COMPETITION, paths, TRAIN)
    random = np.random.default_rng(0)
    for path in (paths.folds_csv, paths.passport):
        whole = path.read_bytes()
        for place in random.choice(len(whole), 40, replace=False).tolist():
            flipped = bytearray(whole)
            flipped[place] ^= int(random.integers(1, 256))
            path.write_bytes(bytes(flipped))
            try:
                same = frozen(COMPETITION, paths, TRAIN)
            except ArtifactError:
                continue
            # white space, a line end: the same content in other bytes
            assert same.digest == first.digest
            np.testing.assert_array_equal(same.fold_of_row, first.fold_of_row)
        path.write_bytes(whole)
    frozen(COMPETITION, paths, TRAIN)


def test_a_passport_of_another_format_is_named(tmp_path):
    passport = draw_up(COMPETITION, TRAIN, hash_rows(TRAIN, FOLDS, GROUPS), {}, [])
    with pytest.raises(ArtifactError, match="has format 2, this version reads 1"):
        check_whole({**passport, "format": 2}, "toy.json")


def test_the_passport_survives_being_written_as_json():
    passport = draw_up(COMPETITION, TRAIN, hash_rows(TRAIN, FOLDS, GROUPS), {"rows": N}, ["메모"])
    check_whole(json.loads(json.dumps(passport, ensure_ascii=False)), "toy.json")
    with pytest.raises(ArtifactError, match="damaged or was edited"):
        check_whole({**passport, "notes": []}, "toy.json")
