"""Gradient boosting: learns every kind of target, chooses inside, forgets nothing when saved."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from pipeline.base.config import TaskConfig
from pipeline.base.errors import ArtifactError, DataError, UsageError
from pipeline.base.fault_injection import Injected
from pipeline.base.files import commit_json, read_json, sha256
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.models.boosting import features, trees
from pipeline.models.boosting.learner import BoostingFactory
from pipeline.models.learner import Silent
from pipeline.models.linear.solver import inner_parts, row_hashes
from pipeline.models.settings import BoostingRecipe
from tests.base.test_untrusted import npz, object_array
from tests.nightly import nightly
from tests.training.toys import inject, make_job, run

ANIMALS = ["cat", "dog", "owl", "eel", "ant", "bee", "cow", "hen"]
RECIPE = BoostingRecipe(
    buckets=2**10, char_ngrams=(2, 2), most_trees=40, patience=5, depths=[2, 3], components=8
)
KINDS = ["regression", "binary", "multiclass", "multilabel", "soft-labels"]


def words(random, n):
    return [" ".join(random.choice(ANIMALS, size=random.integers(3, 7))) for _ in range(n)]


def table(texts, targets=None, columns=None):
    ids = np.array([f"r{row}" for row in range(len(texts))], dtype=object)
    texts = np.array(texts, dtype=object).reshape(len(ids), -1)
    return Table(ids=ids, texts=texts, targets=targets, features=columns or {})


def toy(problem, n=240, seed=0):
    """Texts whose targets follow from which animals they name, and how many prediction columns."""
    random = np.random.default_rng(seed)
    texts = words(random, n)
    cats, dogs = (np.array([text.split().count(one) for text in texts]) for one in ("cat", "dog"))
    targets = {
        "regression": [3 + cats - 2 * dogs, 10 * dogs],
        "binary": [cats > 0],
        "multiclass": [np.where(cats > 0, 0, np.where(dogs > 0, 1, 2))],
        "multilabel": [cats > 0, dogs > 0],
        "soft-labels": np.stack([1 + cats, 1 + dogs, np.ones(n)]) / (3 + cats + dogs),
    }[problem]
    k = 3 if problem == "multiclass" else len(targets)
    return table(texts, np.stack(targets, axis=1).astype(float)), k


def pairs(n=240, seed=0):
    """Pairs whose target is the share of words that both texts have."""
    random = np.random.default_rng(seed)
    firsts, seconds = words(random, n), words(random, n)
    sets = [(set(a.split()), set(b.split())) for a, b in zip(firsts, seconds, strict=True)]
    share = np.array([[len(a & b) / len(a | b)] for a, b in sets])
    return table(list(zip(firsts, seconds, strict=True)), share)


def factory_of(problem, k, recipe=RECIPE, grouped_by=()):
    classes = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"]}.get(problem, [])
    return BoostingFactory(
        recipe, TaskConfig(problem=problem, metric="rmse", classes=classes), k, grouped_by
    )


def fitted(train, problem, k, folder, recipe=RECIPE, seed=0, grouped_by=()):
    factory = factory_of(problem, k, recipe, grouped_by)
    learner = factory.make(seed)
    learner.fit(train, Workspace(folder), Silent())
    return factory, learner


def unlabelled(rows):
    return replace(rows, targets=None)


@pytest.mark.parametrize("problem", KINDS)
def test_it_learns_and_a_saved_one_predicts_the_same_bytes(problem, tmp_path):
    train, k = toy(problem)
    test, _ = toy(problem, seed=1)
    _, learner = fitted(train, problem, k, tmp_path)
    found = learner.predict(unlabelled(test), Silent())
    assert found.shape == (len(test), k)
    assert found.dtype == np.float32
    truth = test.targets == np.arange(k) if problem == "multiclass" else test.targets
    usual = np.mean((truth - truth.mean(axis=0)) ** 2)
    assert np.mean((truth - found) ** 2) < 0.8 * usual
    if problem != "regression":
        assert 0 < found.min() < found.max() < 1
    if problem in ("multiclass", "soft-labels"):
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    learner.save(tmp_path / "saved")
    again = factory_of(problem, k).load(tmp_path / "saved")
    assert again.predict(unlabelled(test), Silent()).tobytes() == found.tobytes()
    assert again.facts == learner.facts
    assert not list((tmp_path / "saved").glob("*.pkl"))


def test_pairs_are_told_by_what_they_share(tmp_path):
    train, test = pairs(), pairs(seed=1)
    _, learner = fitted(train, "regression", 1, tmp_path)
    found = learner.predict(unlabelled(test), Silent())
    assert np.corrcoef(found[:, 0], test.targets[:, 0])[0, 1] > 0.97
    assert any("Jaccard" in name for name in learner.facts["leading_inputs"])


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    train, k = toy("multiclass")
    found = []
    for seed in (0, 0, 1):
        factory, learner = fitted(train, "multiclass", k, tmp_path, seed=seed)
        found.append(learner.predict(unlabelled(train), Silent()).tobytes())
    assert found[0] == found[1] != found[2]
    assert factory.seeds_matter(train)
    assert not factory_of("multiclass", k, replace(RECIPE, feature_share=1.0)).seeds_matter(train)


def test_trees_do_not_depend_on_the_number_of_threads():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(3_000, 3)).astype(np.float32)
    growing = trees.Growing(RECIPE, inputs, random.normal(size=3_000), 0, 0)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            answer, _ = growing.grown(trees.Choice(depth=3, trees=3, losses={}))
        found.append(b"".join(array.tobytes() for array in answer.to_arrays("").values()))
    assert found[0] == found[1]


def test_rows_are_predicted_alike_alone_and_together(tmp_path):
    train, k = toy("multiclass")
    _, learner = fitted(train, "multiclass", k, tmp_path)
    together = learner.predict(unlabelled(train), Silent())
    alone = learner.predict(unlabelled(train.rows(np.array([7]))), Silent())
    assert alone == pytest.approx(together[[7]], abs=1e-6)


def test_the_trees_say_what_scikit_learn_says():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(300, 4)).astype(np.float32)
    inputs[random.random(inputs.shape) < 0.2] = np.nan
    numbers = np.nan_to_num(inputs[:, 0]) * 3 + np.isnan(inputs[:, 1])
    settings = {"max_iter": 20, "max_depth": 4, "early_stopping": False}
    model = HistGradientBoostingRegressor(**settings).fit(inputs, numbers)
    forest, gains = trees.forest_of(model)
    assert forest.margins(inputs)[:, 0] == pytest.approx(model.predict(inputs), abs=1e-12)
    assert set(gains[gains[:, 1] > 0, 0]) <= {0, 1, 2, 3}
    classes = np.digitize(numbers, [-1, 1])
    kind = HistGradientBoostingClassifier(**settings).fit(inputs, classes)
    forest, _ = trees.forest_of(kind)
    assert forest.margins(inputs) == pytest.approx(kind.decision_function(inputs), abs=1e-12)


def test_classes_that_a_training_part_lacks_get_a_little(tmp_path):
    train, _ = toy("multiclass")
    train = train.rows(train.targets[:, 0] != 1)
    _, learner = fitted(train, "multiclass", 3, tmp_path)
    found = learner.predict(unlabelled(train), Silent())
    assert (found[:, 1] > 0).all()
    assert (found[:, 1] < 0.01).all()
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    train, _ = toy("multilabel")
    train.targets[:, 1] = 0
    factory, learner = fitted(train, "multilabel", 2, tmp_path)
    found = learner.predict(unlabelled(train), Silent())
    assert np.unique(found[:, 1]) == pytest.approx([0.5 / (len(train) + 1)])
    learner.save(tmp_path / "saved")
    again = factory.load(tmp_path / "saved").predict(unlabelled(train), Silent())
    assert again.tobytes() == found.tobytes()


def test_a_target_that_never_varies_is_refused(tmp_path):
    train, _ = toy("binary")
    train.targets[:] = 1
    with pytest.raises(DataError, match="the same target, yes"):
        fitted(train, "binary", 1, tmp_path)


def test_columns_of_numbers_and_of_categories_are_read_and_groups_are_not(tmp_path):
    random = np.random.default_rng(0)
    n = 240
    price = random.integers(1, 90, n)
    kind = random.choice(["a", "b"], n)
    cells = [str(value) for value in price.tolist()]
    cells[5] = ""
    columns = {
        "price": np.array(cells, dtype=object),
        "kind": kind.astype(object),
        "prompt": np.array([str(number) for number in range(n)], dtype=object),
    }
    targets = (price + 100.0 * (kind == "a"))[:, None]
    train = table(words(random, n), targets, columns)
    _, learner = fitted(train, "regression", 1, tmp_path, grouped_by=["prompt"])
    assert learner.facts["numeric_columns"] == ["price"]
    assert set(learner.facts["leading_inputs"][:3]) == {"kind=a", "kind=b", "price"}
    found = learner.predict(unlabelled(train), Silent())
    assert np.corrcoef(found[:, 0], targets[:, 0])[0, 1] > 0.97


def test_depth_and_trees_are_chosen_on_groups_that_are_held_out():
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 6).astype(str).astype(object)
    rows = table(words(random, 240), None, {"who": group})
    parts = inner_parts(row_hashes(rows, ["who"]))
    assert len(parts) == 3
    for fit, held_out in parts:
        assert not set(group[fit]) & set(group[held_out])
    inputs = random.normal(size=(240, 3)).astype(np.float32)
    noise = trees.Growing(RECIPE, inputs, random.normal(size=240), 0, 0).chosen(parts)
    signal = trees.Growing(RECIPE, inputs, 5.0 * inputs[:, 0], 0, 0).chosen(parts)
    assert noise.trees < 10
    assert signal.trees == RECIPE.most_trees
    assert signal.losses[signal.depth] == min(signal.losses.values())


def test_few_texts_leave_nothing_to_choose_on(tmp_path):
    train, k = toy("regression")
    train = table([["a"], ["a"]] * 20, train.targets[:40])
    _, learner = fitted(train, "regression", k, tmp_path)
    assert learner.facts["trees"] == [RECIPE.most_trees] * 2
    assert np.isfinite(learner.predict(unlabelled(train), Silent())).all()


def test_what_was_changed_or_is_of_another_recipe_is_refused(tmp_path):
    train, k = toy("binary")
    factory, learner = fitted(train, "binary", k, tmp_path)
    learner.save(tmp_path)
    other = factory_of("binary", k, replace(RECIPE, buckets=2**11))
    with pytest.raises(ArtifactError, match="the recipe asks for"):
        other.load(tmp_path)
    content = read_json(tmp_path / "boosting.json")
    commit_json(tmp_path / "boosting.json", content | {"sha256": "0" * 64})
    with pytest.raises(ArtifactError):
        factory.load(tmp_path)
    npz(tmp_path / "boosting.npz", {"components": object_array(tmp_path / "marker")})
    digest = sha256(tmp_path / "boosting.npz")
    commit_json(tmp_path / "boosting.json", content | {"sha256": digest})
    with pytest.raises(ArtifactError):
        factory.load(tmp_path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("point", ["trained", nightly("predicted")])
def test_a_run_that_was_killed_and_started_again_has_the_same_bytes(point, tmp_path, monkeypatch):
    def job(folder):
        return make_job(folder, recipe=RECIPE, factory=factory_of("regression", 1))

    assert run(job(tmp_path / "whole"))[0] is not None
    inject(monkeypatch, f"{point}:2:raise")
    with pytest.raises(Injected):
        run(job(tmp_path / "killed"))
    inject(monkeypatch, "")
    _, told = run(job(tmp_path / "killed"))
    assert len(told) == 3
    files = [
        sorted(path for path in (tmp_path / name / "oof").rglob("*.npz"))
        for name in ("whole", "killed")
    ]
    assert len(files[0]) == 3
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


def test_scores_of_translations_are_those_of_sacrebleu():
    """sacrebleu 2.6.0: sentence_bleu(smooth_method="add-k", smooth_value=1), sentence_chrf."""
    for first, second, bleu, chrf in [
        ("the cat sat on the mat", "a cat sat on a mat", 0.427287006396234, 0.5511170308673565),
        ("two dogs run", "a dog runs in the park today", 0.0, 0.1402980063714775),
        ("a man plays a guitar loudly", "a man plays the guitar", 0.427287006396234, 0.59803163942),
    ]:
        assert features.bleu(first.split(), second.split()) == pytest.approx(bleu)
        assert features.chrf(first, second) == pytest.approx(chrf)
    for empty in (("", ""), ("a", ""), ("", "a")):
        assert np.isfinite(features.compared(*empty)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": []}, "depths is"),
        ({"depths": [0]}, "depths is"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"most_trees": 0}, "most_trees is 0"),
        ({"char_ngrams": (3, 2)}, "char_ngrams"),
        ({"penalty": -1.0}, "penalty is -1"),
    ],
)
def test_settings_that_do_not_hold_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        BoostingRecipe(**changes)
