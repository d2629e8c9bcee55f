"""The linear learner: learns, forgets nothing when saved, and looks at no row but its own."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.base.errors import ArtifactError, DataError
from pipeline.base.files import commit_json, read_json, sha256
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.metrics.metric import get_metric
from pipeline.models.learner import Silent
from pipeline.models.linear import learner as linear
from pipeline.models.linear import text_features as ngrams
from pipeline.models.linear.learner import LinearFactory
from pipeline.models.linear.solver import row_hashes
from pipeline.models.settings import LinearRecipe
from tests.base.test_untrusted import npz, object_array

ANIMALS = ["cat", "dog", "owl", "eel", "ant", "bee", "cow", "hen"]
RECIPE = LinearRecipe(buckets=2**12)


def words(random, n):
    return [" ".join(random.choice(ANIMALS, size=random.integers(3, 7))) for _ in range(n)]


def table(texts, targets=None, features=None):
    ids = np.array([f"r{row}" for row in range(len(texts))], dtype=object)
    texts = np.array(texts, dtype=object).reshape(len(ids), -1)
    return Table(ids=ids, texts=texts, targets=targets, features=features or {})


def task_of(problem, metric):
    classes = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"]}.get(problem, [])
    return TaskConfig(problem=problem, metric=metric, classes=classes)


def has(texts, animal):
    return np.array([text.split().count(animal) for text in texts], dtype=float)


def toy(problem, n=150, seed=0):
    """Texts whose targets follow from which animals they name, and how many prediction columns."""
    random = np.random.default_rng(seed)
    texts = words(random, n)
    cats, dogs = has(texts, "cat"), has(texts, "dog")
    targets = {
        "regression": [3 + cats - 2 * dogs, 10 * dogs],
        "binary": [cats > 0],
        "multiclass": [np.where(cats > 0, 0, np.where(dogs > 0, 1, 2))],
        "multilabel": [cats > 0, dogs > 0],
    }[problem]
    k = 3 if problem == "multiclass" else len(targets)
    return table(texts, np.stack(targets, axis=1).astype(float)), k


def pairs(n=150, seed=0):
    """Pairs whose target is the share of words that both texts have."""
    random = np.random.default_rng(seed)
    firsts, seconds = words(random, n), words(random, n)
    seconds = [
        first if random.random() < 0.2 else second
        for first, second in zip(firsts, seconds, strict=True)
    ]
    sets = [(set(a.split()), set(b.split())) for a, b in zip(firsts, seconds, strict=True)]
    share = np.array([[len(a & b) / len(a | b)] for a, b in sets])
    return table(list(zip(firsts, seconds, strict=True)), share)


def fitted(train, problem, k, folder, recipe=RECIPE):
    factory = LinearFactory(recipe, task_of(problem, "rmse"), k)
    learner = factory.make(0)
    learner.fit(train, Workspace(folder), Silent())
    return factory, learner


def predictions(learner, rows):
    return learner.predict(replace(rows, targets=None), Silent())


@pytest.mark.parametrize(
    ("problem", "metric"),
    [
        ("regression", "pearson"),
        ("binary", "auc"),
        ("multiclass", "macro-f1"),
        ("multilabel", "auc"),
    ],
)
def test_it_learns_which_words_matter(problem, metric, tmp_path):
    train, k = toy(problem)
    unseen, _ = toy(problem, seed=1)
    _, learner = fitted(train, problem, k, tmp_path)
    found = predictions(learner, unseen)
    assert found.shape == (len(unseen), k)
    assert found.dtype == np.float32
    assert get_metric(metric, task_of(problem, metric)).score(unseen.targets, found) > 0.9


def test_it_learns_how_much_pairs_overlap(tmp_path):
    _, learner = fitted(pairs(), "regression", 1, tmp_path)
    unseen = pairs(seed=1)
    score = get_metric("pearson", task_of("regression", "pearson")).score
    assert score(unseen.targets, predictions(learner, unseen)) > 0.9


def test_it_learns_what_stands_only_in_the_second_text(tmp_path):
    random = np.random.default_rng(0)
    added = np.arange(200) % 2
    ends = [(" ant", " bee"), (" bee", " ant")]
    texts = [
        tuple(text + end for end in ends[which])
        for text, which in zip(words(random, 200), added.tolist(), strict=True)
    ]
    rows = table(texts, added[:, None].astype(float))
    _, learner = fitted(rows.rows(np.arange(150)), "binary", 1, tmp_path)
    found = predictions(learner, rows.rows(np.arange(150, 200)))
    assert ((found[:, 0] > 0.5) == added[150:]).mean() > 0.9


def swapped(rows):
    return replace(rows, texts=rows.texts[:, ::-1])


def test_a_pair_whose_order_means_nothing_gets_the_same_answer_in_both(tmp_path):
    """Also after saving; an ordered fit does not give it."""
    factory, learner = fitted(pairs(300), "regression", 1, tmp_path)
    assert learner.facts["pair_order"] == "symmetric"
    unseen = pairs(seed=1)
    found = predictions(learner, unseen)
    assert np.array_equal(predictions(learner, swapped(unseen)), found)
    learner.save(tmp_path / "saved")
    again = factory.load(tmp_path / "saved")
    assert np.array_equal(predictions(again, swapped(unseen)), found)
    ordered = replace(RECIPE, pair_order="ordered")
    _, other = fitted(pairs(300), "regression", 1, tmp_path, ordered)
    assert other.facts["pair_order"] == "ordered"
    assert not np.array_equal(predictions(other, swapped(unseen)), predictions(other, unseen))


def test_texts_of_one_length_have_an_order_too(tmp_path):
    rows = table([["ab", "cd"], ["cd", "ab"], ["b a", "a"], ["A", "a"], ["a", "A"]])
    texts = linear.in_one_order(rows).texts.tolist()
    assert texts == [["ab", "cd"], ["ab", "cd"], ["a", "b a"], ["A", "a"], ["A", "a"]]


def test_too_few_pairs_to_tell_are_symmetric_and_a_recipe_can_say_so(tmp_path):
    assert fitted(pairs(60), "regression", 1, tmp_path)[1].facts["pair_order"] == "symmetric"
    random = np.random.default_rng(0)
    added = np.arange(200) % 2
    ends = [(" ant", " bee"), (" bee", " ant")]
    texts = [
        tuple(text + end for end in ends[which])
        for text, which in zip(words(random, 200), added.tolist(), strict=True)
    ]
    rows = table(texts, added[:, None].astype(float))
    assert fitted(rows, "binary", 1, tmp_path)[1].facts["pair_order"] == "ordered"
    recipe = replace(RECIPE, pair_order="symmetric")
    _, learner = fitted(rows, "binary", 1, tmp_path, recipe)
    assert np.array_equal(predictions(learner, swapped(rows)), predictions(learner, rows))


def many_classes(n=600, k=30, seed=0):
    """Texts of *k* classes, each told by two words; the classes share their words."""
    random = np.random.default_rng(seed)
    chosen = random.choice(k, size=n, p=np.arange(1, k + 1) / sum(range(1, k + 1)))
    texts = [
        " ".join(random.permutation([f"w{c % 6}", f"v{c // 6}", *random.choice(ANIMALS, 4)]))
        for c in chosen
    ]
    return table(texts, chosen[:, None].astype(float))


@pytest.mark.nightly
def test_where_classes_are_many_least_squares_does_not_mask_them(tmp_path):
    train, unseen = many_classes(), many_classes(seed=1)
    task = TaskConfig(
        problem="multiclass", metric="macro-f1", classes=[f"c{number}" for number in range(30)]
    )
    scores = {}
    for way in ("auto", "squares", "logistic"):
        factory = LinearFactory(replace(RECIPE, class_fit=way), task, 30)
        learner = factory.make(0)
        learner.fit(train, Workspace(tmp_path), Silent())
        scores[way] = (predictions(learner, unseen).argmax(1) == unseen.targets[:, 0]).mean()
        assert learner.facts["class_fit"] == ("logistic" if way == "auto" else way)
        learner.save(tmp_path / way)
        again = predictions(factory.load(tmp_path / way), unseen)
        assert np.array_equal(again, predictions(learner, unseen))
    assert scores["auto"] == scores["logistic"] > scores["squares"] + 0.05


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_probabilities_are_probabilities(problem, tmp_path):
    train, k = toy(problem)
    _, learner = fitted(train, problem, k, tmp_path)
    found = predictions(learner, toy(problem, seed=1)[0])
    assert found.min() >= 0
    assert found.max() <= 1
    if problem == "multiclass":
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_class_probabilities_are_as_sure_as_they_are_right(tmp_path):
    train, k = toy("multiclass", n=400)
    flipped = np.random.default_rng(0).random(400) < 0.3
    train.targets[flipped] = (train.targets[flipped] + 1) % 3
    _, learner = fitted(train, "multiclass", k, tmp_path)
    unseen, _ = toy("multiclass", n=400, seed=1)
    found = predictions(learner, unseen)
    assert 0.5 < found.max(axis=1).mean() < 0.85  # three of four targets tell the truth


def test_texts_that_say_nothing_leave_the_classes_their_shares(tmp_path):
    random = np.random.default_rng(0)
    targets = random.choice(3, size=(500, 1), p=[0.8, 0.15, 0.05]).astype(float)
    _, learner = fitted(table(words(random, 500), targets), "multiclass", 3, tmp_path)
    found = predictions(learner, table(words(random, 500)))
    shares = [(targets == number).mean() for number in range(3)]
    np.testing.assert_allclose(found.mean(axis=0), shares, atol=0.02)


def test_a_shift_and_a_stretch_of_the_targets_are_those_of_the_predictions(tmp_path):
    train, _ = toy("regression")
    train = replace(train, targets=train.targets[:, :1])
    other = replace(train, targets=1000 * train.targets - 7)
    one = predictions(fitted(train, "regression", 1, tmp_path)[1], train)
    two = predictions(fitted(other, "regression", 1, tmp_path)[1], train)
    np.testing.assert_allclose(two, 1000 * one - 7, atol=2)


def test_numbers_are_not_clipped_to_the_labels_seen(tmp_path):
    train = table([" ".join(["cat"] * (1 + row % 5) + ["dog"]) for row in range(60)])
    train = replace(train, targets=has(train.texts[:, 0], "cat")[:, None] % 5)
    found = predictions(fitted(train, "regression", 1, tmp_path)[1], table(["cat " * 40, "dog"]))
    assert found.min() < 0 or found.max() > 4


@pytest.mark.parametrize("problem", ["regression", "binary", "multiclass", "multilabel"])
def test_a_saved_learner_predicts_the_same_bytes(problem, tmp_path):
    features = {"source": np.array(["web", "book"] * 75, dtype=object)}
    train, k = toy(problem)
    train = replace(train, features=features)
    factory, learner = fitted(train, problem, k, tmp_path)
    learner.save(tmp_path / "weights")
    loaded = LinearFactory(RECIPE, factory.task, k).load(tmp_path / "weights")
    assert predictions(loaded, train).tobytes() == predictions(learner, train).tobytes()
    assert loaded.facts == learner.facts
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == [
        "linear.json",
        "linear.npz",
    ]


def test_the_same_rows_give_the_same_bytes_whatever_the_seed(tmp_path):
    train = pairs()
    factory = LinearFactory(RECIPE, task_of("regression", "rmse"), 1)
    found = []
    for seed in (1, 2):
        learner = factory.make(seed)
        learner.fit(train, Workspace(tmp_path), Silent())
        found.append(predictions(learner, train).tobytes())
    assert found[0] == found[1]


def test_what_was_counted_before_changes_nothing(tmp_path):
    train, other = pairs(), pairs(seed=5)
    fresh, learner = fitted(train, "regression", 1, tmp_path)
    used = LinearFactory(RECIPE, fresh.task, 1)
    used.counter.count([ngrams.tidy(text) for text in other.texts.ravel()])
    used.make(0).fit(other, Workspace(tmp_path), Silent())
    again = used.make(0)
    again.fit(train, Workspace(tmp_path), Silent())
    assert predictions(again, train).tobytes() == predictions(learner, train).tobytes()


def test_predictions_do_not_depend_on_the_rows_asked_with(tmp_path):
    train, k = toy("binary")
    _, learner = fitted(train, "binary", k, tmp_path)
    alone = np.concatenate([predictions(learner, train.rows([row])) for row in range(20)])
    np.testing.assert_allclose(predictions(learner, train)[:20], alone, atol=1e-6)


def test_predicting_other_rows_in_between_changes_nothing(tmp_path):
    train = pairs()
    factory = LinearFactory(RECIPE, task_of("regression", "rmse"), 1)
    learner = factory.make(0)
    learner.fit(train, Workspace(tmp_path), Silent())
    before = learner.weights.copy()
    first = predictions(learner, train)
    predictions(learner, pairs(seed=9))
    np.testing.assert_array_equal(predictions(learner, train), first)
    np.testing.assert_array_equal(learner.weights, before)


@pytest.mark.parametrize(
    "texts", [[""], ["   "], ["!?"], ["고양이"], ["\x00\ud800"], ["x" * 20_000]]
)
def test_any_text_gets_a_finite_prediction(texts, tmp_path):
    for problem in ("regression", "multiclass"):
        train, k = toy(problem)
        _, learner = fitted(train, problem, k, tmp_path)
        assert np.isfinite(predictions(learner, table(texts))).all()


@pytest.mark.parametrize("pair", [("", ""), ("", "cat"), ("cat", ""), ("?", "!"), ("7", "고")])
def test_any_pair_gets_a_finite_prediction(pair, tmp_path):
    _, learner = fitted(pairs(), "regression", 1, tmp_path)
    assert np.isfinite(predictions(learner, table([pair]))).all()


def test_texts_without_words_can_be_learnt_from(tmp_path):
    rows = table(["", "!", "", "?", "!", ""] * 5, np.arange(30.0)[:, None])
    _, learner = fitted(rows, "regression", 1, tmp_path)
    assert np.isfinite(predictions(learner, rows)).all()


def test_few_rows_can_be_learnt_from(tmp_path):
    rows = table(["cat", "dog"], np.array([[0.0], [1.0]]))
    for problem in ("regression", "binary"):
        _, learner = fitted(rows, problem, 1, tmp_path)
        assert np.isfinite(predictions(learner, rows)).all()
        assert learner.facts["inner_losses"] == {}


def with_source(rows, values):
    return replace(rows, features={"source": np.array(values, dtype=object)})


def test_a_column_that_decides_is_used_and_an_unknown_value_is_left_out(tmp_path):
    random = np.random.default_rng(0)
    source = random.choice(["web", "book"], size=120)
    rows = with_source(table(words(random, 120), (source == "web")[:, None].astype(float)), source)
    _, learner = fitted(rows, "binary", 1, tmp_path)
    found = predictions(learner, with_source(rows.rows([0, 0, 0]), ["web", "book", "radio"]))
    assert found[0, 0] > 0.8
    assert found[1, 0] < 0.2
    assert found[1, 0] < found[2, 0] < found[0, 0]
    nothing = predictions(learner, replace(rows.rows([0]), features={}))
    np.testing.assert_allclose(nothing[0], found[2], atol=1e-6)


def test_a_value_can_turn_what_overlap_means(tmp_path):
    rows = pairs(n=400)
    turned = np.arange(400) % 2 == 1
    targets = np.where(turned[:, None], 1 - rows.targets, rows.targets)
    rows = with_source(replace(rows, targets=targets), np.where(turned, "odd", "even"))
    _, learner = fitted(rows.rows(np.arange(300)), "regression", 1, tmp_path)
    unseen = rows.rows(np.arange(300, 400))
    score = get_metric("pearson", task_of("regression", "pearson")).score
    assert score(unseen.targets, predictions(learner, unseen)) > 0.85


def test_a_column_of_ids_is_no_input(tmp_path):
    rows, k = toy("binary")
    rows = with_source(rows, [f"id-{row % 80}" for row in range(150)])
    _, learner = fitted(rows, "binary", k, tmp_path)
    assert learner.facts["values"] == 0


@pytest.mark.parametrize(
    ("problem", "k", "value", "name"),
    [("regression", 1, 3.5, "3.5"), ("binary", 1, 1, "yes"), ("multiclass", 3, 2, "c")],
)
def test_one_target_only_cannot_be_learnt(problem, k, value, name, tmp_path):
    rows = table(["cat", "dog", "owl"], np.full((3, 1), float(value)))
    with pytest.raises(DataError, match=f"all 3 rows of a training part have .* target, {name}: "):
        fitted(rows, problem, k, tmp_path)


def test_a_label_that_no_row_has_is_predicted_to_be_unlikely(tmp_path):
    rows, k = toy("multilabel")
    rows.targets[:, 1] = 0
    _, learner = fitted(rows, "multilabel", k, tmp_path)
    assert predictions(learner, rows)[:, 1].max() < 0.05


def test_a_class_that_no_row_has_is_predicted_to_be_unlikely(tmp_path):
    rows, k = toy("multiclass")
    rows = rows.rows(np.flatnonzero(rows.targets[:, 0] != 2))
    _, learner = fitted(rows, "multiclass", k, tmp_path)
    assert predictions(learner, rows)[:, 2].max() < 0.1


def test_copies_of_a_text_do_not_loosen_the_strength(tmp_path):
    # Noise cannot be learnt. Held-out copies would make learning by heart look good.
    random = np.random.default_rng(0)
    texts, noise = words(random, 60), random.normal(size=(60, 1))
    which = random.permutation(np.repeat(np.arange(60), 5))
    rows = table([texts[row] for row in which], noise[which])
    _, learner = fitted(rows, "regression", 1, tmp_path)
    assert learner.facts["strength"] >= 3


def test_strengths_of_the_recipe_are_the_ones_tried(tmp_path):
    train, k = toy("binary")
    recipe = replace(RECIPE, strengths=[0.5, 2.0])
    _, learner = fitted(train, "binary", k, tmp_path, recipe)
    assert set(learner.facts["inner_losses"]) == {"0.5", "2"}
    assert learner.facts["strength"] in (0.5, 2.0)


def test_the_strength_with_the_least_inner_loss_is_taken(tmp_path):
    train, k = toy("regression")
    _, learner = fitted(train, "regression", k, tmp_path)
    losses = learner.facts["inner_losses"]
    assert learner.facts["strength"] == float(min(losses, key=losses.get))
    assert len(losses) > 1


def test_facts_are_json(tmp_path):
    factory, learner = fitted(pairs(), "regression", 1, tmp_path)
    for facts in (learner.facts, factory.facts()):
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert learner.facts["rows"] == 150
    assert factory.disk_bytes() > 0


def test_weights_of_another_recipe_are_refused(tmp_path):
    train, k = toy("binary")
    factory, learner = fitted(train, "binary", k, tmp_path)
    learner.save(tmp_path)
    other = LinearFactory(replace(RECIPE, buckets=2**10), factory.task, k)
    with pytest.raises(ArtifactError, match=r"was saved with .*4096.* asks for .*1024"):
        other.load(tmp_path)


def test_damaged_weights_are_refused(tmp_path):
    train, k = toy("binary")
    factory, learner = fitted(train, "binary", k, tmp_path)
    learner.save(tmp_path)
    content = bytearray((tmp_path / "linear.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "linear.npz").write_bytes(content)
    with pytest.raises(ArtifactError, match="has changed since it was written"):
        factory.load(tmp_path)


def test_weights_with_a_pickle_inside_are_refused_and_it_is_never_run(tmp_path):
    train, k = toy("binary")
    factory, learner = fitted(train, "binary", k, tmp_path)
    learner.save(tmp_path)
    npz(tmp_path / "linear.npz", {"weights": object_array(tmp_path / "marker")})
    facts = read_json(tmp_path / "linear.json")
    commit_json(tmp_path / "linear.json", facts | {"sha256": sha256(tmp_path / "linear.npz")})
    with pytest.raises(ArtifactError, match="holds Python objects, and pickles are never loaded"):
        factory.load(tmp_path)
    assert not (tmp_path / "marker").exists()


class Log(Silent):
    def __init__(self):
        self.total, self.done, self.events, self.phases = 0, 0, [], []

    def phase(self, name, total, done=0, per_epoch=0):
        self.phases.append(name)
        self.total, self.done = total, done

    def advance(self, steps=1, rows=0, tokens=0):
        self.done += steps

    def event(self, what, message, **facts):
        self.events.append((what, message, facts))


def test_progress_ends_where_it_was_said_to_end(tmp_path):
    noise = np.random.default_rng(1).normal(size=(150, 1))  # stops at a strong strength
    train = replace(toy("binary")[0], targets=noise)
    learner, log = LinearFactory(RECIPE, task_of("regression", "rmse"), 1).make(0), Log()
    learner.fit(train, Workspace(tmp_path), log)
    assert len(learner.facts["inner_losses"]) < 6
    assert log.done == log.total
    learner.predict(train, log)
    assert log.phases == ["train", "predict"]
    assert log.done == log.total == len(train)


def test_more_text_than_fits_into_memory_is_drawn_from_and_said(tmp_path, monkeypatch):
    train, k = toy("binary")
    monkeypatch.setattr(linear, "MOST_NGRAMS", 10_000)
    factory, log = LinearFactory(RECIPE, task_of("binary", "auc"), k), Log()
    found = []
    for seed in (1, 1, 2):
        learner = factory.make(seed)
        learner.fit(train, Workspace(tmp_path), log)
        found.append(predictions(learner, train).tobytes())
    assert learner.facts["rows"] < 150
    what, message, facts = log.events[0]
    assert (what, facts) == ("fewer rows", {"rows": learner.facts["rows"]})
    assert f"learns from {learner.facts['rows']} of 150 rows" in message
    assert found[0] == found[1] != found[2]


def test_nothing_is_learnt_about_the_machine_and_no_checkpoint_is_made(tmp_path):
    factory = LinearFactory(RECIPE, task_of("binary", "auc"), 1)
    learner = factory.make(0)
    learner.fit(toy("binary")[0], Workspace(tmp_path / "fold"), Silent(), rate_scale=0.5)
    factory.remember(learner.facts)
    assert factory.checkpoint_bytes() == 0
    assert not (tmp_path / "fold").exists()


def test_rows_are_predicted_alike_in_one_chunk_or_in_many(tmp_path, monkeypatch):
    train = pairs()
    _, learner = fitted(train, "regression", 1, tmp_path)
    whole = predictions(learner, train)
    monkeypatch.setattr("pipeline.models.linear.features.CHUNK_ROWS", 40)
    np.testing.assert_allclose(predictions(learner, train), whole, atol=1e-6)
    _, again = fitted(train, "regression", 1, tmp_path)
    np.testing.assert_allclose(predictions(again, train), whole, atol=1e-4)


def test_where_folds_are_grouped_by_a_column_so_is_the_choice_of_the_strength(tmp_path):
    """Words that only one author uses, and labels that are the author's: of no use for others."""
    random, authors = np.random.default_rng(3), 40
    of_row = np.repeat(np.arange(authors), 10)
    own, common = words(random, authors), words(random, 400)
    texts = [f"{own[author]} {text}" for author, text in zip(of_row, common, strict=True)]
    level = random.normal(size=authors)[of_row]
    train = table([(text,) for text in texts], (level + random.normal(0, 0.3, 400))[:, None])
    names = np.array([f"ann{author}" for author in of_row], dtype=object)
    train = replace(train, features={"author": names})
    facts = []
    for grouped_by in ([], ["author"]):
        learner = LinearFactory(RECIPE, task_of("regression", "rmse"), 1, grouped_by).make(0)
        learner.fit(train, Workspace(tmp_path), Silent())
        facts.append(learner.facts)
    assert facts[0]["strength"] < facts[1]["strength"]
    assert facts[0]["inner_losses"]["30"] < facts[1]["inner_losses"]["30"], "others are harder"


def test_inner_folds_go_by_the_text_where_the_column_is_empty():
    rows = table([("a b",), ("c d",), ("e f",)], np.zeros((3, 1)))
    rows = replace(rows, features={"author": np.array(["ann", "ann", ""], dtype=object)})
    first, second, third = row_hashes(rows, ["author"]).tolist()
    assert first == second != third
    assert third == row_hashes(rows)[2]
