"""A transformer that tags: windows, units and tokens, and the loss of units."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from pipeline.base.config import TaskConfig
from pipeline.base.errors import UsageError
from pipeline.base.paths import Workspace
from pipeline.data.table import Table, Units
from pipeline.models.transformer.factory import make_factory
from pipeline.models.transformer.tags.learner import (
    TagCodec,
    TaggingFactory,
    check_tagging,
    path_losses,
    unit_chances,
)
from pipeline.models.transformer.tags.windows import BEGINS, BEHIND, GOES_ON, WAYS, windows_of
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU
from tests.models.transformer.learners import WATCH, assert_same_once_saved, backbone

CLASSES = ["O", "B-X", "I-X"]
NAMES, OTHERS = ["cat", "dog"], ["fish", "bird", "horse", "the"]


def documents(texts, unit="word", tags=None):
    """A table of the words, or the characters, of *texts*."""
    pieces = [list(text) if unit == "character" else text.split() for text in texts]
    count = list(map(len, pieces))
    place = np.concatenate([np.arange(each) for each in count])
    flat = np.array([each for part in pieces for each in part], dtype=object)
    ids = np.repeat(np.array([f"d{row}" for row in range(len(texts))], dtype=object), count)
    after = np.array(["" if unit == "character" else " "] * len(flat), dtype=object)
    targets = None
    if tags is not None:
        targets = np.column_stack([[tags(word) for word in flat], place]).astype(float)
    names = np.array([f"{one}#{two}" for one, two in zip(ids, place, strict=True)], dtype=object)
    return Table(
        ids=names,
        texts=flat[:, None],
        targets=targets,
        units=Units(document=ids, place=place, after=after),
    )


def sentences(count, seed=0):
    random = np.random.default_rng(seed)
    words = [[*random.choice(OTHERS, 3), *random.choice(NAMES, 1)] for _ in range(count)]
    return [" ".join(random.permutation(each)) for each in words]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = backbone(tmp_path_factory.mktemp("tiny"), "bert")
    return TransformerRecipe(
        name="tiny", backbone=str(folder), epochs=8, batch_size=8, learning_rate=5e-3, max_length=16
    )


def factory_of(recipe):
    task = TaskConfig(problem="tags", metric="entity-f1", classes=CLASSES)
    return TaggingFactory(recipe, task, len(CLASSES), CPU, FoldFitter(CPU, FailurePolicy()))


@pytest.fixture(scope="module")
def factory(recipe):
    return factory_of(recipe)


def test_a_unit_reads_its_tag_off_the_token_of_its_first_character(factory):
    table = documents(["cat horse"], unit="character")
    windows = windows_of(table, factory.shared.store, 16)
    found = factory.shared.store.tokenizer("cat horse", return_offsets_mapping=True)
    starts = {first: place for place, (first, end) in enumerate(found["offset_mapping"]) if end}
    cat, horse = starts[0], starts[4]
    ways = [(int(each) // WAYS, int(each) % WAYS) for each in windows.places[0]]
    assert ways[:4] == [(cat, BEGINS), (cat, GOES_ON), (cat, GOES_ON), (cat, BEHIND)]
    assert ways[4] == (horse, BEGINS)


def test_windows_of_a_long_document_hold_every_unit_and_overlap(factory):
    table = documents(["cat bird the dog horse fish " * 9, "cat fish"])
    store = factory.shared.store
    windows = windows_of(table, store, 16)
    assert len(windows.texts) > 4
    assert set(np.concatenate(windows.rows).tolist()) == set(range(len(table)))
    for first, second in zip(windows.rows[:-2], windows.rows[1:-1], strict=True):
        assert second[0] <= first[-1] + 1
        assert second[-1] > first[-1], "every window goes further"
    held = np.concatenate(windows.rows)
    assert len(held) > len(table), "windows overlap"
    lengths = [len(store.tokenizer(text)["input_ids"]) for text in windows.texts]
    assert max(lengths) <= 16
    assert [len(rows) for rows in windows.rows] == [len(each) for each in windows.places]


def test_the_loss_is_that_of_the_units_and_the_same_however_a_step_is_cut():
    random = np.random.default_rng(0)
    codec = TagCodec(problem="tags", loss="cross-entropy", outputs=3, units=2.5, tokens=7)
    logits = torch.tensor(random.normal(size=(2, 7, 9)), dtype=torch.float32)
    tags = np.array([[0, 2, 1], [1, 0, -1]])
    places = np.array([[3 * 1, 3 * 1 + 1, 3 * 4 + 2], [3 * 2, 3 * 6, -1]])
    encoded = torch.tensor(np.hstack([tags, places, np.ones_like(tags)]))
    expected = 0.0
    for row in range(2):
        for unit in range(3):
            if tags[row, unit] >= 0:
                token, way = divmod(int(places[row, unit]), 3)
                own = logits[row, token, 3 * way : 3 * way + 3]
                expected -= float(own.log_softmax(0)[tags[row, unit]])
    whole = codec.mean_loss(logits, encoded)
    assert float(whole) == pytest.approx(expected / 2 / 2.5, rel=1e-5)
    halves = [codec.mean_loss(logits[[row]], encoded[[row]]) for row in range(2)]
    assert float(sum(halves)) / 2 == pytest.approx(float(whole), rel=1e-5)
    weighed = TagCodec.from_json({**codec.as_json(), "class_weights": [0.0, 1.0, 1.0]}).mean_loss(
        logits, encoded
    )
    assert float(weighed) < float(whole)


def test_a_unit_may_be_read_off_all_its_tokens(factory):
    table = documents(["cat horse-fish a"], unit="word")
    store = factory.shared.store
    offsets = store.tokenizer("cat horse-fish a", return_offsets_mapping=True)["offset_mapping"]
    own = [place for place, (first, end) in enumerate(offsets) if first >= 4 and end <= 14]
    assert len(own) > 1
    first, mean = (windows_of(table, store, 16, way) for way in ("first", "mean"))
    assert first.sizes[0].tolist() == [1, 1, 1]
    assert mean.sizes[0].tolist() == [1, len(own), 1]
    assert mean.reach == len(own)
    assert mean.places[0].tolist() == first.places[0].tolist()
    assert mean.places[0][1] == WAYS * own[0] + BEGINS


@pytest.mark.parametrize("paths", [False, True])
def test_the_mean_of_a_units_tokens_is_learned_and_answered(paths):
    codec = TagCodec(
        problem="tags", loss="cross-entropy", outputs=3, units=1.0, tokens=7, reach=3, paths=paths
    )
    width = codec.width
    logits = torch.randn(1, 6, width, generator=torch.Generator().manual_seed(0))
    tags, places, sizes = [0, 2, -1], [3 * 1, 3 * 3 + 1, -1], [2, 3, -1]
    encoded = torch.tensor([[*tags, *places, *sizes]])
    one, two = logits[0, 1:3].mean(0), logits[0, 3:6].mean(0)
    said = torch.stack([one[:3], two[3:6]])
    values = codec.decode(logits)[0].numpy()
    found = codec.chances(values, np.array(places[:2]), np.array(sizes[:2]))
    if paths:
        pairs = torch.stack([one[9:].view(3, 3), two[9:].view(3, 3)])
        known = torch.ones(1, 2, dtype=torch.bool)
        expected = path_losses(said[None], pairs[None], encoded[:, :2], known)[0]
        assert found == pytest.approx(unit_chances(said[None], pairs[None])[0].numpy(), abs=1e-6)
    else:
        expected = torch.nn.functional.cross_entropy(said, encoded[0, :2], reduction="sum")
        assert found == pytest.approx(said.softmax(1).numpy(), abs=1e-6)
    assert float(codec.mean_loss(logits, encoded)) == pytest.approx(float(expected), rel=1e-5)
    assert TagCodec.from_json(codec.as_json()) == codec
    assert "reach" not in replace(codec, reach=0).as_json(), "folds of before are taken up"


def by_hand(tags_said, pairs_said):
    """Each path of one window with its score."""
    units, outputs = tags_said.shape
    for path in product(range(outputs), repeat=units):
        own = sum(tags_said[unit, tag] for unit, tag in enumerate(path))
        pairs = enumerate(pairwise(path), start=1)
        yield path, float(own + sum(pairs_said[unit, a, b] for unit, (a, b) in pairs))


def test_a_path_costs_its_share_of_all_paths_and_a_unit_adds_up_those_through_it():
    draw = torch.Generator().manual_seed(0)
    tags_said = torch.randn(2, 4, 3, generator=draw)
    pairs_said = torch.randn(2, 4, 3, 3, generator=draw)
    known = torch.tensor([[True] * 4, [True, True, False, False]])
    tags = torch.tensor([[0, 2, 1, 1], [2, 0, -1, -1]])
    losses = path_losses(tags_said, pairs_said, tags, known).tolist()
    for row, units in enumerate((4, 2)):
        paths = list(by_hand(tags_said[row, :units], pairs_said[row, :units]))
        total = np.logaddexp.reduce([score for _, score in paths])
        own = dict(paths)[tuple(tags[row, :units].tolist())]
        assert losses[row] == pytest.approx(total - own, rel=1e-5)
        said = unit_chances(tags_said[row, None, :units], pairs_said[row, None, :units])[0]
        for unit, tag in product(range(units), range(3)):
            through = [np.exp(score - total) for path, score in paths if path[unit] == tag]
            assert float(said[unit, tag]) == pytest.approx(sum(through), abs=1e-6)


def test_paths_learn_what_a_tag_says_of_the_next(recipe, tmp_path):
    """The word behind a name is one too, whatever it is: the pair of tags tells it."""

    def tagged(texts):
        table = documents(texts, tags=lambda word: int(word in NAMES))
        place, own = table.units.place, table.targets[:, 0]
        table.targets[1:, 0] = np.where((own[:-1] == 1) & (place[1:] > 0), 2, own[1:])
        return table

    paths = factory_of(replace(recipe, head="crf"))
    learner = paths.make(3)
    learner.fit(tagged(sentences(60)), Workspace(tmp_path / "work"), WATCH)
    asked = tagged([*sentences(20, seed=1), "cat bird the fish horse fish " * 6])
    said = learner.predict(asked, WATCH)
    assert said.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (said.argmax(axis=1) == asked.targets[:, 0]).mean() > 0.9
    assert_same_once_saved(paths, learner, asked, said, tmp_path / "weights")


def test_paths_are_for_tags(recipe):
    with pytest.raises(UsageError, match="head crf learns the tags of a text together"):
        make_factory(replace(recipe, head="crf"), None, None)
    with pytest.raises(UsageError, match="subwords says what a tag is read off"):
        make_factory(replace(recipe, subwords="mean"), None, None)


@pytest.mark.parametrize("way", ["first", "mean"])
def test_it_learns_tags_and_says_the_same_once_saved(recipe, way, tmp_path):
    factory = factory_of(replace(recipe, subwords=way))

    def tag(word):
        return 1 if word in NAMES else 0

    learner = factory.make(3)
    workspace = Workspace(tmp_path / "work")
    learner.fit(documents(sentences(60), tags=tag), workspace, WATCH)
    asked = documents([*sentences(20, seed=1), "cat bird the dog horse fish " * 6], tags=tag)
    said = learner.predict(asked, WATCH)
    assert said.shape == (len(asked), 3)
    assert said.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (said.argmax(axis=1) == asked.targets[:, 0]).mean() > 0.9
    assert_same_once_saved(factory, learner, asked, said, tmp_path / "weights")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"loss": "focal"}, "cross-entropy"),
        ({"pairing": "siamese"}, "pairs"),
        ({"r_drop": 0.5}, "r_drop"),
        ({"prefix": "query: "}, "prefix"),
        ({"head": "crf", "class_weights": "balanced"}, "class_weights weigh units"),
    ],
)
def test_what_tags_cannot_have_is_refused_before_weights_are_loaded(settings, says):
    with pytest.raises(UsageError, match=says):
        check_tagging(TransformerRecipe(name="x", backbone="nowhere", **settings))
