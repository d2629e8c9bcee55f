"""One store for many: found again, made once by several at a time, and never half."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.leases import lease
from pipeline.data.tokens.files import MANIFEST, stores
from pipeline.data.tokens.store import LEASE, TokenStore
from tests.data.tokens.test_store import Counting, texts_of
from tests.nightly import nightly
from tests.tiny import tiny_tokenizer

WORDS = ["a", "cat", "dog", "sleeps", "barks", "birds", "sing", "on", "the", "mat"]
TOKENIZER = tiny_tokenizer(WORDS)
PROJECT = Path(__file__).resolve().parents[3]


def table(rows: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return texts_of(
        *[
            tuple(" ".join(draw.choice(WORDS, draw.integers(1, 9))) for _ in range(2))
            for _ in range(rows)
        ]
    )


class Told:
    """A Teller that keeps what it is told."""

    def __init__(self):
        self.events, self.total, self.done = [], [], 0

    def phase(self, name, total):
        self.total.append(total)

    def advance(self, steps=1):
        self.done += steps

    def event(self, what, message, **facts):
        self.events.append((what, message))


def store(cache, tokenizer=TOKENIZER, max_length=32, pairing="cross") -> TokenStore:
    return TokenStore(Counting(tokenizer), max_length, pairing, cache)


def kept(cache, *tables, tell=None, **settings) -> TokenStore:
    own = store(cache, **settings)
    own.tokenizer.asked = 0
    own.keep(tables, tell or Told())
    return own


def tokens_of(own: TokenStore, texts: np.ndarray) -> list[list[int]]:
    return [own.tokens(int(row))[0].tolist() for row in own.rows(texts).ravel()]


def expected(texts: np.ndarray) -> list[list[int]]:
    return [TOKENIZER(*row, truncation=True, max_length=32)["input_ids"] for row in texts.tolist()]


def test_the_next_command_finds_the_tokens_whatever_the_order_of_rows_and_tables(tmp_path):
    train, test = table(40), table(7, seed=1)
    first = kept(tmp_path, train, test)
    assert first.tokenizer.asked == len({*map(tuple, [*train, *test])})
    again = kept(tmp_path, test, train[::-1], train[:5])
    assert again.tokenizer.asked == 0
    assert len(list(stores(tmp_path))) == 1
    for own in (first, again):
        assert tokens_of(own, train) == expected(train)
        np.testing.assert_array_equal(own.rows(test), first.rows(test))


@pytest.mark.parametrize(
    "other",
    [
        {"max_length": 31},
        {"pairing": "siamese"},
        {"tokenizer": tiny_tokenizer([*WORDS, "more"])},
        {"tokenizer": tiny_tokenizer(WORDS, "roberta")},
    ],
)
def test_another_tokenizer_or_setting_never_opens_these_files(tmp_path, other):
    train = table(12)
    kept(tmp_path, train)
    assert kept(tmp_path, train, **other).tokenizer.asked > 0
    assert len(list(stores(tmp_path))) == 2


def test_a_tokenizer_with_the_same_canary_and_other_words_never_opens_these_files(tmp_path):
    """Six texts cannot tell two vocabularies apart, so the whole tokenizer is in the name."""
    one, other = tiny_tokenizer(["cat", "dog"]), tiny_tokenizer(["cat", "hen"])
    assert store(None, one).canary() == store(None, other).canary()
    train = table(12)
    kept(tmp_path, train, tokenizer=one)
    assert kept(tmp_path, train, tokenizer=other).tokenizer.asked > 0


def test_what_the_tokenizer_was_asked_before_changes_neither_tokens_nor_files(tmp_path):
    train, used = table(12), tiny_tokenizer(WORDS)
    kept(tmp_path, train)
    used(["a", "a cat sleeps"], padding=True, truncation=True, max_length=4)
    own = kept(tmp_path, train, tokenizer=used)
    assert own.tokenizer.asked == 0
    used(["a", "a cat sleeps"], padding=True, truncation=True, max_length=4)
    new = table(9, seed=4)
    assert tokens_of(own, new) == expected(new)


def test_a_changed_row_makes_a_store_of_its_own(tmp_path):
    train = table(12)
    kept(tmp_path, train)
    changed = train.copy()
    changed[3, 1] += " cat"
    assert tokens_of(kept(tmp_path, changed), changed) == expected(changed)
    assert len(list(stores(tmp_path))) == 2


def test_texts_that_come_later_stand_beside_the_mapped_ones(tmp_path):
    train, new = table(20), table(9, seed=5)
    own = kept(tmp_path, train)
    before = own.rows(train)
    rows = own.rows(np.concatenate([new, train]))
    np.testing.assert_array_equal(rows[9:], before)
    assert rows[:9].min() >= len(np.unique(before))
    assert tokens_of(own, new) == expected(new)
    mixed = rows[[0, 25, 3, 11, 0], 0]
    ids, types, lengths = own.gather(mixed)
    one_by_one = [own.tokens(int(row)) for row in mixed]
    np.testing.assert_array_equal(ids, np.concatenate([each[0] for each in one_by_one]))
    np.testing.assert_array_equal(types, np.concatenate([each[1] for each in one_by_one]))
    np.testing.assert_array_equal(lengths, [len(each[0]) for each in one_by_one])
    np.testing.assert_array_equal(lengths, own.lengths(mixed))


def test_a_store_that_is_in_use_keeps_its_row_numbers(tmp_path):
    own = store(tmp_path)
    early = own.rows(table(5))
    rows = own.keep([table(5), table(8, seed=2)], Told())
    np.testing.assert_array_equal(own.rows(table(5)), early)
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(own)))
    assert list(stores(tmp_path)) == []


def test_without_a_folder_nothing_is_written_and_the_tokens_are_the_same(tmp_path):
    train = table(20)
    own = kept(None, train)
    assert tokens_of(own, train) == expected(train)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_input_by_input(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.tokens.store.CHUNK", 3)
    tell = Told()
    own = kept(tmp_path, table(10), tell=tell)
    assert tell.total == [len(own)]
    assert tell.done == len(own)
    kept(tmp_path, table(10), tell=tell)
    assert tell.total == [len(own)]


def spoil(folder: Path) -> None:
    path = folder / "tokens.npy"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def test_a_damaged_store_is_told_and_made_again(tmp_path):
    train, tell = table(20), Told()
    kept(tmp_path, train)
    (folder,) = stores(tmp_path)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    spoil(folder)
    own = kept(tmp_path, train, tell=tell)
    assert tokens_of(own, train) == expected(train)
    ((what, message),) = tell.events
    assert what == "tokens damaged"
    assert "has changed since it was written" in message
    assert "tokenised again" in message
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_a_full_disk_costs_the_files_and_not_the_run(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.base.files.reach", full)
    train, tell = table(20), Told()
    own = kept(tmp_path, train, tell=tell)
    assert tokens_of(own, train) == expected(train)
    ((what, message),) = tell.events
    assert what == "tokens not kept"
    assert message.startswith("the tokens stay in this process's memory")
    assert "no space left" in message
    assert [path for folder in stores(tmp_path) for path in folder.iterdir()] == []


def test_a_folder_that_cannot_be_made_costs_the_files_only(tmp_path):
    (tmp_path / "tokens").write_text("a file")
    tell = Told()
    assert tokens_of(kept(tmp_path / "tokens", table(3), tell=tell), table(3)) == expected(table(3))
    assert [what for what, _ in tell.events] == ["tokens not kept"]


CHILD = """
import sys
from pathlib import Path
from tests.data.tokens.test_tokencache import Told, store, table
own = store(Path(sys.argv[1]))
own.tokenizer.asked = 0
own.keep([table(60)], Told())
print(own.tokenizer.asked, len(own))
"""


def child(cache: Path, fault: str = "") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(cache)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PIPELINE_FAULT": fault},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.nightly
def test_two_processes_at_once_tokenise_once(tmp_path):
    children = [child(tmp_path) for _ in range(2)]
    said = sorted(each.communicate(timeout=120)[0].split() for each in children)
    inputs = str(len(kept(tmp_path, table(60))))
    assert said == [["0", inputs], [inputs, inputs]]
    (folder,) = stores(tmp_path)
    assert not (folder / LEASE).exists()


@pytest.mark.parametrize(
    "fault",
    [
        "commit-write:5:kill9",
        nightly("commit-write:1:kill9"),
        nightly("commit-replace:5:kill9"),
    ],
)
def test_a_kill_leaves_nothing_that_is_taken_for_a_store(tmp_path, fault):
    killed = child(tmp_path, fault)
    killed.communicate(timeout=120)
    assert killed.returncode == -9
    (folder,) = stores(tmp_path)
    complete = fault == "commit-replace:5:kill9"
    assert (folder / MANIFEST).exists() == complete
    tell = Told()
    own = kept(tmp_path, table(60), tell=tell)
    assert (own.tokenizer.asked == 0) == complete
    assert tell.events == []
    assert tokens_of(own, table(60)) == expected(table(60))
    assert {path.name for path in folder.iterdir() if path.name != LEASE} == {
        "tokens.npy",
        "starts.npy",
        "truncated.npy",
        "keys.npy",
        MANIFEST,
    }


def test_who_waits_says_for_whom_and_takes_what_the_other_has_made(tmp_path, monkeypatch):
    train, elsewhere = table(20), tmp_path / "elsewhere"
    kept(elsewhere, train)
    (made,) = stores(elsewhere)
    cache = tmp_path / "cache"
    folder = cache / made.name
    claim = lease(folder / LEASE, "it")
    claim.__enter__()

    def finish(_):
        for path in made.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr("pipeline.data.tokens.store.time.sleep", finish)
    tell = Told()
    own = kept(cache, train, tell=tell)
    claim.__exit__(None, None, None)
    assert own.tokenizer.asked == 0
    ((what, message),) = tell.events
    assert what == "waiting"
    assert f"process {os.getpid()}" in message


def test_what_was_made_while_the_claim_was_waited_for_is_not_made_again(tmp_path, monkeypatch):
    train, elsewhere = table(20), tmp_path / "elsewhere"
    kept(elsewhere, train)

    @contextmanager
    def slow(path, what):
        shutil.copytree(elsewhere, tmp_path / "cache", dirs_exist_ok=True)
        yield

    monkeypatch.setattr("pipeline.data.tokens.store.lease", slow)
    own = kept(tmp_path / "cache", train)
    assert own.tokenizer.asked == 0
    assert tokens_of(own, train) == expected(train)
