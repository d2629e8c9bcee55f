"""Token stores: a cache, so whatever is wrong with it is harmless."""

import json
import os

import numpy as np
import pytest

from pipeline.base.leases import lease
from pipeline.data.tokens import files as tokenfiles
from pipeline.data.tokens.files import TokenArrays
from pipeline.data.tokens.store import LEASE
from tests.sound import dead_process, examine, sound

NAME = "0123456789abcdef" * 2
STORE = f"runs/tokens/{NAME}"


@pytest.fixture
def root(tmp_path):
    root = sound(tmp_path)
    record = np.dtype([("id", "<u2")])
    tokens = TokenArrays(
        tokens=np.zeros(5, record), starts=np.array([0, 2, 5]), truncated=np.zeros(2, bool)
    )
    tokenfiles.write(root / STORE, record, np.array([[1, 2], [0, 0]], np.uint64), [tokens])
    return root


def section(answer):
    return [each for each in answer.sections if each["subject"] == "tokens"]


def note(root, *more):
    answer = examine(root, *more)
    assert answer.code == 0
    (found,) = answer.notes
    return found


def test_a_whole_store_is_counted_and_taken_for_no_competition(root):
    answer = examine(root)
    assert answer.findings == []
    (found,) = section(answer)
    assert found["counts"].startswith("1 store, ")
    assert {each["competition"] for each in answer.sections} == {"toy", ""}
    assert section(examine(root, "--competition", "toy")) == []


def test_a_root_without_stores_says_nothing_of_them(tmp_path):
    assert section(examine(sound(tmp_path))) == []


def test_the_runs_of_a_competition_of_that_name_stand_beside_the_stores(root):
    (root / "runs/toy/linear").rename(root / "runs/tokens/linear")
    found = {each["competition"]: each["subject"] for each in examine(root).sections}
    assert found["tokens"] == "run linear"
    assert section(examine(root))


def test_damage_is_a_note_because_the_next_run_mends_it(root):
    path = root / STORE / "keys.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    found = note(root)
    assert found["path"] == STORE
    assert found["what"].startswith("has changed since it was written: keys.npy")
    assert found["todo"].startswith("Nothing: the next run that needs it makes it again")
    assert examine(root, "--quick").findings == []
    path.write_bytes(b"")
    assert "is cut off: keys.npy has 0 bytes" in note(root, "--quick")["what"]


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"format": 7})])
def test_a_manifest_that_is_none_is_a_note(root, content):
    (root / STORE / "store.json").write_text(content)
    assert note(root)["path"] == STORE


def test_a_store_that_was_not_finished_is_told_from_one_that_is_being_made(root):
    (root / STORE / "store.json").unlink()
    assert note(root)["what"] == "is a token store that was not finished"
    with lease(root / STORE / LEASE, "it"):
        assert f"is being made by process {os.getpid()}" in note(root)["what"]


def test_leftovers_in_a_store_are_found(root):
    (root / STORE / f".tmp-{dead_process()}-0badc0de-1").write_bytes(b"x")
    assert "temporary file" in note(root)["what"]
