"""Models that a team-mate might train in a minute, each drawn with settings of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import ComplementNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR

Says = Callable[[np.ndarray], np.ndarray]


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


def words(random: np.random.Generator) -> dict[str, Any]:
    """Settings of a TF-IDF."""
    if random.random() < 0.5:
        return {"analyzer": "char_wb", "ngram_range": (2, int(random.integers(3, 5))), "min_df": 2}
    return {"ngram_range": (1, int(random.integers(1, 3))), "sublinear_tf": True}
