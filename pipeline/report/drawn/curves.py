"""Curves over all thresholds, and how labels and predictions are spread."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from pipeline.report.drawn.charts import Tips, dots
from pipeline.report.drawn.document import Block, clean
from pipeline.report.drawn.words import Data

MOST_CURVES, STEPS, PARTS = 8, 40, 20


def thresholds(target: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Iterator[Block]:
    """Precision against recall and true against false positives, each class against the rest.

    Args:
        target: (n, k) 0 or 1; nothing is drawn of shares.
        predicted: (n, k) probabilities.
        names: (k,) of the classes; of more than eight those with most rows are shown.
    """
    if not np.isin(target, (0, 1)).all():
        return
    both = [place for place in range(len(names)) if 0 < target[:, place].sum() < len(target)]
    if not both:
        return
    most = sorted(sorted(both, key=lambda place: -target[:, place].sum())[:MOST_CURVES])
    precision, hits = [], []
    for place in most:
        truth, guess = target[:, place], predicted[:, place]
        right, found, cut = precision_recall_curve(truth, guess)
        kept = _few(found[:-1], right[:-1])
        told: Tips = [
            [f"threshold {cut[at]:.3f}: precision {right[at]:.3f}, recall {found[at]:.3f}", ""]
            for at in kept
        ]
        name = Data(f"{clean(names[place], 20)} {average_precision_score(truth, guess):.3f}")
        precision.append((name, found[kept], right[kept], told))
        false, true, cut = roc_curve(truth, guess)
        kept = _few(false, true)
        told = [
            [f"threshold {cut[at]:.3f}: found {true[at]:.3f}, false alarms {false[at]:.3f}", ""]
            for at in kept
        ]
        name = Data(f"{clean(names[place], 20)} {roc_auc_score(truth, guess):.3f}")
        hits.append((name, false[kept], true[kept], told))
    others = ["each class against all others"] if len(names) > 1 else []
    more = [f"the {MOST_CURVES} classes with most rows"] if len(both) > MOST_CURVES else []
    yield dots(
        "precision",
        "Precision and recall at every threshold",
        precision,
        ("recall", "precision"),
        joined=True,
        says=[_said(precision, "average precision"), *others, *more],
    )
    yield dots(
        "roc",
        "Hits and false alarms at every threshold (ROC)",
        hits,
        ("false alarms", "found"),
        diagonal=True,
        joined=True,
        says=[_said(hits, "area under the curve"), "on the diagonal: chance", *others, *more],
    )


def _said(curves: Sequence[tuple[str, Any, Any, Any]], what: str) -> str:
    """What the number is that stands at the end of the names; one curve has no name beside it."""
    return f"beside a name: {what}" if len(curves) > 1 else f"{what} {curves[0][0].split()[-1]}"


def _few(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Places (at most `STEPS`) on a curve through the points x, y, as far from each other along it
    as may be."""
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    places = np.searchsorted(way, np.linspace(0, way[-1], STEPS))
    return np.unique(np.minimum(places, len(x) - 1)).tolist()


def spread(place: int, name: str, target: np.ndarray, predicted: np.ndarray) -> Block:
    """How many rows have a label, and a prediction, in each part of the range; (n,) both."""
    values = np.concatenate([target, predicted])
    edges = np.linspace(values.min(), values.max(), PARTS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    series = []
    for who, each in (("labels", target), ("honest predictions", predicted)):
        share = np.histogram(each, edges)[0] / len(each)
        told: Tips = [
            [f"{low:.3g} to {high:.3g}: {part:.1%} of {who}", ""]
            for low, high, part in zip(edges, edges[1:], share, strict=False)
        ]
        series.append((who, middle, 100 * share, told))
    return dots(
        f"spread{place}",
        f"Labels and predictions: {clean(name, 40)}",
        series,
        ("value", "% of rows"),
        joined=True,
        says=["predictions are narrower than labels where the model is unsure"],
    )
