"""A transformer that finds answers: windows, tokens and characters, and the loss of places."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.base.config import TaskConfig
from pipeline.base.errors import UsageError
from pipeline.base.paths import Workspace
from pipeline.data.table import Table, Units
from pipeline.models.transformer.spans.learner import (
    SpanCodec,
    SpanFactory,
    check_spans,
    joined,
)
from pipeline.models.transformer.spans.windows import allowed, table_of, windows_of
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.problems.span import SPAN, References, targets_of
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU
from tests.models.transformer.learners import WATCH, assert_same_once_saved, backbone

PETS, OTHERS = ["cat", "dog"], ["fish", "bird", "horse", "the"]


def texts_of(rows, question="mouse"):
    """A table of the characters of *rows*: (text, answer), an empty one for none."""
    ids = [f"d{number}" for number in range(len(rows))]
    count = [len(text) for text, _ in rows]
    place = np.concatenate([np.arange(size) for size in count])
    document = np.repeat(np.array(ids, dtype=object), count)
    flat = np.array([each for text, _ in rows for each in text], dtype=object)
    targets = [
        targets_of(text, [(text.find(answer), text.find(answer) + len(answer))] if answer else [])
        for text, answer in rows
    ]
    names = [f"{one}#{two}" for one, two in zip(document, place, strict=True)]
    asked = None if question is None else np.full(len(place), question, dtype=object)
    return Table(
        ids=np.array(names, dtype=object),
        texts=flat[:, None],
        targets=np.concatenate(targets),
        units=Units(
            document=document,
            place=place,
            after=np.full(len(place), "", dtype=object),
            asked=asked,
        ),
    )


def sentences(count, seed=0, unanswered=0.3):
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        words = list(random.choice(OTHERS, int(random.integers(3, 7))))
        pet = str(random.choice(PETS)) if random.random() >= unanswered else ""
        if pet:
            words.insert(int(random.integers(len(words) + 1)), pet)
        made.append((" ".join(words), pet))
    return made


def decoded(said, table):
    """(d,) the answers that predictions come to."""
    inside = SPAN.decode(said, table.units.first, [])
    flat = table.texts[:, 0]
    return [
        "".join(flat[rows][inside[rows] > 0].tolist()) for rows in table.units.documents
    ]  # fmt: skip


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    folder = backbone(tmp_path_factory.mktemp("tiny"), "bert")
    recipe = TransformerRecipe(
        name="tiny", backbone=str(folder), epochs=8, batch_size=8, learning_rate=5e-3, max_length=16
    )
    task = TaskConfig(problem="span", metric="exact-match")
    return SpanFactory(recipe, task, 3, CPU, FoldFitter(CPU, FailurePolicy()))


@pytest.mark.parametrize("question", ["the mouse", None])
def test_windows_hold_every_character_and_know_where_tokens_begin_and_end(factory, question):
    text = "cat bird the dog\x00 horse fish " * 6 + " end"
    table = texts_of([(text, "dog\x00"), ("cat fish", ""), (" ", "")], question)
    store = factory.shared.store
    windows = windows_of(table, store, 16)
    long = [window for window in windows if window.document == 0]
    assert len(long) > 3
    assert long[0].rows[0] == 0
    assert long[-1].rows[1] == len(text)
    for one, other in pairwise(long):
        assert one.rows[0] < other.rows[0] < one.rows[1] < other.rows[1], "they overlap"
    for window in windows:
        given = [window.question, window.piece] if question else [window.piece]
        tokens = store.tokenizer.backend_tokenizer.encode(*given).tokens
        assert len(tokens) <= 16
        for place, first, last in zip(window.places, window.first, window.last, strict=True):
            held = "".join(table.texts[first : last + 1, 0]).replace("\x00", "")
            assert tokens[place] in (held, "[UNK]")
    assert {window.document for window in windows} == {0, 1, 2}


def test_a_window_knows_the_answer_it_holds_and_says_so_of_others(factory):
    text = "fish bird horse " * 8 + "cat the dog " + "fish bird horse " * 8
    table = texts_of([(text, "cat the dog")])
    windows = windows_of(table, factory.shared.store, 16)
    packed = table_of(windows, table.targets).targets
    begin, end = text.find("cat"), text.find("dog") + 2
    told = 0
    for window, (start, stop, first, behind) in zip(windows, packed.astype(int), strict=True):
        assert (first, behind) == allowed(window)
        if window.rows[0] <= begin and end < window.rows[1]:
            told += 1
            at = dict(zip(window.places.tolist(), range(len(window.places)), strict=True))
            assert window.first[at[start]] == begin
            assert window.last[at[stop]] == end
        else:
            assert (start, stop) == (0, 0)
    assert 0 < told < len(windows)


def test_a_question_that_leaves_no_room_is_cut(factory):
    table = texts_of([("cat bird the dog horse fish " * 3, "dog")], question="the mouse " * 20)
    windows = windows_of(table, factory.shared.store, 16)
    for window in windows:
        found = factory.shared.store.tokenizer(window.question, window.piece)
        assert len(found["input_ids"]) <= 16
        assert window.question.startswith("the mouse")
        assert len(window.places) >= 1


def test_the_loss_is_that_of_the_tokens_that_may_be_meant():
    codec = SpanCodec(problem="span", loss="cross-entropy", tokens=6)
    logits = torch.tensor(np.random.default_rng(0).normal(size=(2, 6, 2)), dtype=torch.float32)
    encoded = torch.tensor([[3, 4, 3, 5], [0, 0, 2, 6]])
    wanted = 0.0
    for row, held in enumerate(([0, 3, 4], [0, 2, 3, 4, 5])):
        for side in range(2):
            place = held.index(int(encoded[row, side]))
            wanted -= float(logits[row, held, side].log_softmax(0)[place])
    whole = codec.mean_loss(logits, encoded)
    assert float(whole) == pytest.approx(wanted / 4, rel=1e-5)
    halves = [codec.mean_loss(logits[[row]], encoded[[row]]) for row in range(2)]
    assert float(sum(halves)) / 2 == pytest.approx(float(whole), rel=1e-5)
    same = SpanCodec.from_json(codec.as_json())
    assert same == codec
    assert same.decode(logits[:, :4]).shape == (2, 6, 2)


def test_windows_are_averaged_and_the_surest_says_whether_there_is_an_answer():
    table = texts_of([("ab cd", "")])

    def window(first, last, rows):
        places = np.arange(1, 1 + len(first))
        return SimpleNamespace(
            document=0, rows=rows, places=places, first=np.array(first), last=np.array(last)
        )

    windows = [window([0, 3], [1, 4], (0, 5)), window([3], [4], (3, 5))]
    said = [np.log([[0.5, 0.5], [0.3, 0.1], [0.2, 0.4]]), np.log([[0.2, 0.2], [0.8, 0.8]])]
    found = joined(table, windows, said, certain=False)
    assert found[:, 2] == pytest.approx(0.2)
    assert found[:, :2].sum(axis=0) == pytest.approx(0.8)
    assert found[3, 0] / found[0, 0] == pytest.approx(((0.2 + 0.8) / 2) / 0.3)
    assert found[4, 1] / found[1, 1] == pytest.approx(((0.4 + 0.8) / 2) / 0.1)
    sure = joined(table, windows, said, certain=True)
    assert sure[:, 2] == pytest.approx(0.0)
    assert sure[:, :2].sum(axis=0) == pytest.approx(1.0)


def test_it_learns_answers_and_says_the_same_once_saved(factory, tmp_path):
    learner = factory.make(3)
    learner.fit(texts_of(sentences(70)), Workspace(tmp_path / "work"), WATCH)
    rows = [*sentences(30, seed=1), ("horse bird fish the " * 5 + "dog " + "bird fish " * 6, "dog")]
    asked = texts_of(rows)
    said = learner.predict(asked, WATCH)
    assert said.shape == (len(asked), 3)
    answers = decoded(said, asked)
    assert (
        np.mean([answer == wanted for answer, (_, wanted) in zip(answers, rows, strict=True)]) > 0.9
    )
    assert answers[-1] == "dog", "found in one of several windows"
    assert len(References.of(asked.targets).begin) < len(rows), "some have none"
    assert_same_once_saved(factory, learner, asked, said, tmp_path / "weights")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"loss": "focal"}, "cross-entropy"),
        ({"pairing": "siamese"}, "apart"),
        ({"r_drop": 0.5}, "r_drop"),
        ({"prefix": "query: "}, "prefix"),
        ({"class_weights": "balanced"}, "class_weights"),
    ],
)
def test_what_answers_cannot_have_is_refused_before_weights_are_loaded(settings, says):
    with pytest.raises(UsageError, match=says):
        check_spans(TransformerRecipe(name="x", backbone="nowhere", **settings))
