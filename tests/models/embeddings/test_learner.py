"""Frozen embeddings: made once, kept beside their tokens; small models learn on them inside."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.base.errors import ArtifactError, UsageError
from pipeline.base.fault_injection import Injected
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.models.embeddings import learner as embeddings
from pipeline.models.embeddings.learner import EmbeddingsFactory, make_factory
from pipeline.models.learner import Engine, Silent
from pipeline.models.settings import EmbeddingsRecipe
from pipeline.training.lightning.trainer import FoldFitter
from tests.tiny import tiny_backbone
from tests.training.toys import COMPETITION, Told, inject, make_job, run

KINDS = ["regression", "binary", "multiclass", "multilabel"]
WIDTH = 6


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("tiny"), ["row of tr te ho and more cat dog"])


class Given:
    """Stands for `Vectors`: the vector of a text is read off the text."""

    factory = SimpleNamespace(
        facts=lambda: {"backbone_sha256": "b", "tokenizer_canary": "t"}, close=lambda: None
    )

    def __init__(self):
        self.found = {}

    def of(self, table, watch):
        numbers = [[[float(x) for x in text.split()] for text in row] for row in table.texts]
        return np.array(numbers, dtype=np.float32)


def toy(problem, n=180, seed=0, texts=1):
    """Rows whose texts are vectors, and whose targets follow from them."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, texts, WIDTH))
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    first = unit[:, 0, 0] if texts == 1 else (unit[:, 0] * unit[:, 1]).sum(axis=1)
    other = unit[:, 0, 1]
    targets = {
        "regression": [7 + 3 * first],
        "binary": [first > 0],
        "multiclass": [np.where(first > 0.2, 0, np.where(other > 0, 1, 2))],
        "multilabel": [first > 0, other > 0],
    }[problem]
    cells = [[" ".join(f"{x:.6f}" for x in text) for text in row] for row in vectors]
    rows = Table(
        ids=np.arange(n).astype(str).astype(object),
        texts=np.array(cells, dtype=object).reshape(n, texts),
        targets=np.stack(targets, axis=1).astype(float),
    )
    return rows, 3 if problem == "multiclass" else len(targets)


def factory_of(problem, k, **changes):
    classes = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"]}.get(problem, [])
    recipe = EmbeddingsRecipe(name="frozen", backbone="b", **changes)
    task = TaskConfig(problem=problem, metric="rmse", classes=classes)
    return EmbeddingsFactory(recipe, task, k, Given())


def unlabelled(rows):
    return replace(rows, targets=None)


@pytest.mark.parametrize("head", ["ridge", "svr", "knn"])
@pytest.mark.parametrize("problem", KINDS)
def test_heads_learn_and_saved_ones_predict_the_same_bytes(problem, head, tmp_path):
    if head == "svr" and problem != "regression":
        with pytest.raises(UsageError, match=f"head svr is for numbers.*{problem}"):
            factory_of(problem, 1, head=head)
        return
    train, k = toy(problem)
    test, _ = toy(problem, seed=1)
    factory = factory_of(problem, k, head=head)
    learner = factory.make(0)
    learner.fit(train, Workspace(tmp_path), Silent())
    found = learner.predict(unlabelled(test), Silent())
    assert found.shape == (len(test), k)
    assert found.dtype == np.float32
    truth = test.targets == np.arange(k) if problem == "multiclass" else test.targets
    assert np.mean((truth - found) ** 2) < 0.7 * np.mean((truth - truth.mean(axis=0)) ** 2)
    if problem != "regression":
        assert 0 < found.min() < found.max() < 1
    if problem == "multiclass":
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    losses = learner.facts["inner_losses"]
    assert f"{learner.facts['strength']:g}" == min(losses, key=losses.get)
    learner.save(tmp_path / "saved")
    again = factory_of(problem, k, head=head).load(tmp_path / "saved")
    assert again.predict(unlabelled(test), Silent()).tobytes() == found.tobytes()
    with pytest.raises(ArtifactError, match="was saved with"):
        factory_of(problem, k, head=head, pooling="max").load(tmp_path / "saved")


def test_the_cosine_of_a_pair_is_hardly_held_back(tmp_path, monkeypatch):
    train, k = toy("regression", texts=2)
    test, _ = toy("regression", texts=2, seed=1)

    def error(plain):
        monkeypatch.setattr(embeddings, "PLAIN", plain)
        learner = factory_of("regression", k, strengths=[1000.0]).make(0)
        learner.fit(train, Workspace(tmp_path), Silent())
        return np.mean((learner.predict(unlabelled(test), Silent()) - test.targets) ** 2)

    assert error(10.0) < 0.3 * error(1.0)


def test_a_pair_is_u_v_their_difference_and_their_product():
    vectors = np.array([[[3.0, 4.0], [0.0, 2.0]]], dtype=np.float32)
    expected = [0.6, 0.8, 0.0, 1.0, 0.6, 0.2, 0.0, 0.8, 0.8, 0.64]
    assert embeddings.features_of(vectors)[0] == pytest.approx(expected)
    assert embeddings.features_of(vectors[:, :1])[0] == pytest.approx([0.6, 0.8])


def real_job(root, backbone, **changes):
    recipe = EmbeddingsRecipe(name="frozen", backbone=str(backbone), max_length=16, **changes)
    policy = make_job(root).policy
    engine = Engine(
        tokens=root / "runs" / "tokens", fitter=lambda hardware: FoldFitter(hardware, policy)
    )
    factory = make_factory(recipe, COMPETITION, engine)
    job = make_job(root, recipe=recipe, factory=factory)
    factory.prepare(job.tables.all, Silent())
    return job


def predictions(root):
    return [path.read_bytes() for path in sorted((root / "oof").rglob("*.npz"))]


def test_texts_are_embedded_once_and_a_killed_run_has_the_same_bytes(
    tmp_path, backbone, monkeypatch
):
    job = real_job(tmp_path / "whole", backbone)
    calls = []
    whole = job.factory.vectors._embedded
    monkeypatch.setattr(
        job.factory.vectors, "_embedded", lambda *a: calls.append(len(a[0])) or whole(*a)
    )
    assert run(job)[0] is not None
    texts = {text for table in job.tables.all for text in table.texts.ravel()}
    assert calls == [len(texts)]
    assert len(predictions(tmp_path / "whole")) == 3
    (kept,) = (tmp_path / "whole" / "runs" / "tokens").rglob("vectors-*.npz")

    inject(monkeypatch, "trained:2:raise")
    with pytest.raises(Injected):
        run(real_job(tmp_path / "killed", backbone))
    inject(monkeypatch, "")
    again = real_job(tmp_path / "killed", backbone)
    monkeypatch.setattr(again.factory.vectors, "_embedded", None)  # the file is there
    run(again)
    assert predictions(tmp_path / "killed") == predictions(tmp_path / "whole")

    kept.write_bytes(kept.read_bytes()[:-40])
    mended, told = real_job(tmp_path / "whole", backbone).factory, Told()
    vectors = mended.vectors.of(job.tables.train, told)
    assert told.whats == ["vectors damaged"]
    assert np.array_equal(vectors, job.factory.vectors.of(job.tables.train, Silent()))


def test_a_text_that_comes_later_gets_its_vector(tmp_path, backbone):
    job = real_job(tmp_path, backbone)
    vectors = job.factory.vectors
    texts = np.array([["row 3 of tr and more"], ["a dog"], ["a dog"]], dtype=object)
    later = Table(ids=np.array(["a", "b", "c"], dtype=object), texts=texts)
    found = vectors.of(later, Silent())
    assert found.shape == (3, 1, found.shape[2])
    assert np.isfinite(found).all()
    assert np.array_equal(found[1], found[2])
    assert not np.allclose(found[0], found[1])
    alone = real_job(tmp_path / "other", backbone, pooling="max").factory.vectors
    assert not np.allclose(alone.of(later, Silent()), found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": " "}, "backbone is empty"),
        ({"sha256": "x"}, "sha256 is 'x'"),
        ({"max_length": 2}, "max_length is 2"),
        ({"strengths": []}, "strengths is"),
    ],
)
def test_settings_that_do_not_hold_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        EmbeddingsRecipe(**({"name": "f", "backbone": "b"} | changes))
