"""The metrics: one table. A new metric is one entry, and nothing else has to know of it.

An entry without `greater_is_better` is an error as soon as this file is imported. The formulas are
in `formulas`; docs/metrics.md says which function of scikit-learn or scipy each one equals.
"""

import math
from dataclasses import replace

from pipeline.metrics import formulas, moments, spans, structured
from pipeline.metrics import linearised_metrics as linear
from pipeline.metrics.greedy import likely, likely_classes, ranked
from pipeline.metrics.record import Formula, Record
from pipeline.metrics.texts import scores as texts
from pipeline.problems.registry import problem_of

UP_TO_ONE = (0.0, 1.0)
AROUND_ZERO = (-1.0, 1.0)
ERROR = (0.0, math.inf)
CLASSIFIED = ("binary", "multiclass", "multilabel")

_ROOT = Formula(
    score=formulas.rmse,
    columns="mean",
    from_moments=moments.rmse_gain,
    of_mean=moments.rmse_of_mean,
    row_sums=linear.moment_sums(moments.rmse_gain),
)
_SHARES_ROOT = Formula(score=formulas.rmse, columns="mean", row_sums=linear.share_rmse_sums)
_AUC = Formula(
    score=formulas.auc,
    columns="mean",
    row_sums=linear.auc_sums,
    label_sums=linear.MEAN_RECALL,
    greedy=ranked,
)
_CLASS_AUC = Formula(score=formulas.auc, row_sums=linear.auc_sums, greedy=ranked)
_ACCURACY = Formula(score=formulas.accuracy, columns="all", label_sums=linear.ACCURACY)
_F1 = Formula(score=formulas.f1, columns="mean", label_sums=linear.F1)
_MACRO_F1 = Formula(score=formulas.macro_f1, label_sums=linear.MACRO_F1)
_KAPPA = Formula(score=formulas.quadratic_kappa, columns="mean", label_sums=linear.KAPPA)
_LOG_LOSS = Formula(
    score=formulas.log_loss, columns="mean", row_sums=linear.log_loss_sums, greedy=likely
)


def _loss_of_rows(rows: formulas.Rows) -> Formula:
    return Formula(score=formulas.mean_over(rows), row_sums=linear.row_means(rows, -1.0))


def record_of_texts(score: texts.TextScore, place: int | None = None, usual: str = "") -> Record:
    """The record of a metric of texts alone; *usual* is said where it is the usual one."""
    return Record(
        formulas={"text": Formula(score=score.score, row_sums=score.sums, texts=score)},
        greater_is_better=True,
        needs="label",
        bounds=UP_TO_ONE,
        usual_for={"a text": usual} if usual else {},
        place={} if place is None else {"text": place},
    )


def _both(one: Record, other: Record) -> Record:
    """A record of one name for the problem types of both, which agree in all else."""
    return replace(
        one, formulas={**one.formulas, **other.formulas}, place={**one.place, **other.place}
    )


METRICS: dict[str, Record] = {
    "pearson": Record(
        formulas={
            "regression": Formula(
                score=formulas.pearson,
                columns="mean",
                from_moments=moments.pearson_gain,
                of_mean=moments.pearson_of_mean,
                row_sums=linear.moment_sums(moments.pearson_gain),
            )
        },
        greater_is_better=True,
        needs="value",
        bounds=AROUND_ZERO,
        sees="shape",
        usual_for={"a bounded grade of two texts": "A graded similarity of two texts."},
    ),
    "spearman": Record(
        formulas={
            "regression": Formula(
                score=formulas.spearman, columns="mean", row_sums=linear.spearman_sums
            )
        },
        greater_is_better=True,
        needs="value",
        bounds=AROUND_ZERO,
        sees="order",
    ),
    "rmse": Record(
        formulas={"regression": _ROOT, "soft-labels": _SHARES_ROOT},
        greater_is_better=False,
        needs="value",
        bounds=ERROR,
        unit_error=True,
        usual_for={"a number": "A number."},
    ),
    "mse": Record(
        formulas={
            "regression": Formula(
                score=formulas.mse,
                columns="mean",
                from_moments=moments.mse_gain,
                of_mean=moments.mse_of_mean,
                row_sums=linear.moment_sums(moments.mse_gain),
            )
        },
        greater_is_better=False,
        needs="value",
        bounds=ERROR,
        unit_error=True,
    ),
    "mae": Record(
        formulas={
            "regression": Formula(score=formulas.mae, columns="mean", row_sums=linear.mae_sums),
            "soft-labels": Formula(score=formulas.mae, columns="mean", row_sums=linear.mae_sums),
        },
        greater_is_better=False,
        needs="value",
        bounds=ERROR,
        unit_error=True,
    ),
    "r2": Record(
        formulas={
            "regression": Formula(
                score=formulas.r2,
                columns="mean",
                from_moments=moments.r2_gain,
                of_mean=moments.r2_of_mean,
                row_sums=linear.moment_sums(moments.r2_gain),
            )
        },
        greater_is_better=True,
        needs="value",
        bounds=(-math.inf, 1.0),
        unit_error=True,
    ),
    "mcrmse": Record(
        formulas={"regression": _ROOT},
        greater_is_better=False,
        needs="value",
        bounds=ERROR,
        unit_error=True,
        usual_for={
            "several numbers": "Several numbers: the mean of their root mean squared errors."
        },
    ),
    "accuracy": Record(
        formulas={
            **dict.fromkeys(CLASSIFIED, _ACCURACY),
            "heads": structured.HEADS_ACCURACY,
            "tags": structured.ACCURACY,
        },
        greater_is_better=True,
        needs="label",
        bounds=UP_TO_ONE,
        place={"heads": 1},
    ),
    "f1": Record(
        formulas={"binary": _F1, "multilabel": _F1},
        greater_is_better=True,
        needs="label",
        bounds=UP_TO_ONE,
        usual_for={
            "two classes, a class is shown": "The sample submission shows classes.",
            "two words, an empty column is shown": "The sample has a column for one of two words.",
            "labels in a cell": "Labels are written, not chances.",
        },
        place={"multilabel": 2},
    ),
    "macro-f1": Record(
        formulas={
            "binary": _MACRO_F1,
            "multiclass": _MACRO_F1,
            "multilabel": _F1,
            "heads": structured.HEADS_MACRO_F1,
        },
        greater_is_better=True,
        needs="label",
        bounds=UP_TO_ONE,
        usual_for={
            "several classes": "One class per row, all count the same.",
            "targets of classes": "The mean over the targets, every class counts the same.",
        },
        place={"multiclass": 0, "multilabel": 1, "heads": 0},
    ),
    "log-loss": Record(
        formulas={
            "binary": _LOG_LOSS,
            "multiclass": Formula(
                score=formulas.class_log_loss,
                row_sums=linear.class_log_loss_sums,
                greedy=likely_classes,
            ),
            "multilabel": _LOG_LOSS,
            "soft-labels": _loss_of_rows(formulas.soft_losses),
            "tags": structured.LOG_LOSS,
            "heads": structured.HEADS_LOG_LOSS,
        },
        greater_is_better=False,
        needs="value",
        bounds=ERROR,
        log_likelihood=True,
        usual_for={
            "a probability per class": "The sample submission has one probability per class.",
            "a share per class": "The labels are probabilities themselves.",
        },
        place={"soft-labels": 0},
    ),
    "kl-divergence": Record(
        formulas={"soft-labels": _loss_of_rows(formulas.divergences)},
        greater_is_better=False,
        needs="value",
        bounds=ERROR,
    ),
    "auc": Record(
        formulas={"binary": _AUC, "multiclass": _CLASS_AUC, "multilabel": _AUC},
        greater_is_better=True,
        needs="value",
        bounds=UP_TO_ONE,
        sees="order",
        usual_for={
            "several labels": "Usual for several labels: the mean of their areas.",
            "two classes, probabilities are shown": "The sample submission shows probabilities.",
            "two classes, nothing is shown": (
                "There is no sample submission to tell classes from probabilities."
            ),
        },
        place={"binary": 0, "multilabel": 0},
    ),
    "qwk": Record(
        formulas={"regression": _KAPPA, "binary": _KAPPA, "multiclass": _KAPPA},
        greater_is_better=True,
        needs="label",
        bounds=AROUND_ZERO,
        ordered_labels=True,
        usual_for={
            "whole grades": (
                "Whole grades: quadratic weighted kappa is usual (predictions are rounded)."
            )
        },
    ),
    "mcc": Record(
        formulas=dict.fromkeys(
            ("binary", "multiclass"), Formula(score=formulas.mcc, label_sums=linear.MCC)
        ),
        greater_is_better=True,
        needs="label",
        bounds=AROUND_ZERO,
    ),
    "balanced-accuracy": Record(
        formulas=dict.fromkeys(
            ("binary", "multiclass"),
            Formula(score=formulas.balanced_accuracy, label_sums=linear.CLASS_RECALL),
        ),
        greater_is_better=True,
        needs="label",
        bounds=UP_TO_ONE,
    ),
    "weighted-f1": Record(
        formulas={
            **dict.fromkeys(
                ("binary", "multiclass"),
                Formula(score=formulas.weighted_f1, label_sums=linear.WEIGHTED_F1),
            ),
            "heads": structured.HEADS_WEIGHTED_F1,
        },
        greater_is_better=True,
        needs="label",
        bounds=UP_TO_ONE,
    ),
    **structured.JOINT,
    "micro-f1": Record(
        formulas={
            "multiclass": _ACCURACY,
            "multilabel": Formula(score=formulas.micro_f1, label_sums=linear.MICRO_F1),
        },
        greater_is_better=True,
        needs="label",
        bounds=UP_TO_ONE,
    ),
    "average-precision": Record(
        formulas=dict.fromkeys(CLASSIFIED, Formula(score=formulas.average_precision)),
        greater_is_better=True,
        needs="value",
        bounds=UP_TO_ONE,
        sees="order",
    ),
    "pr-auc": Record(
        formulas=dict.fromkeys(CLASSIFIED, Formula(score=formulas.precision_recall_area)),
        greater_is_better=True,
        needs="value",
        bounds=UP_TO_ONE,
        sees="order",
    ),
    "brier": Record(
        formulas=dict.fromkeys(
            CLASSIFIED, Formula(score=formulas.brier, row_sums=linear.brier_sums)
        ),
        greater_is_better=False,
        needs="value",
        bounds=(0.0, 2.0),
    ),
    "entity-f1": structured.record_of(
        structured.entity_f(), 0, usual="Tags: whole entities (strict IOB2), all types together."
    ),
    "entity-macro-f1": structured.record_of(structured.entity_f(macro=True), 1),
    "klue-entity-f1": structured.record_of(structured.entity_f(macro=True, joined=True), 2),
    "klue-char-f1": structured.record_of(structured.klue_characters(), 3),
    **spans.ANSWERS,
    "calibration-error": Record(
        formulas=dict.fromkeys(
            ("binary", "multiclass"),
            Formula(score=formulas.calibration_error, row_sums=linear.calibration_sums),
        ),
        greater_is_better=False,
        needs="value",
        bounds=UP_TO_ONE,
    ),
    "chrf": record_of_texts(texts.chrf(), 0, "A text: characters in common suit any language."),
    "bleu": record_of_texts(texts.bleu(texts.by_name("13a")), 1),
    "rouge-l": record_of_texts(texts.rouge_l(texts.words), 2),
    "rouge-1": record_of_texts(texts.rouge_n(1, texts.words), 3),
    "rouge-2": record_of_texts(texts.rouge_n(2, texts.words), 4),
}
METRICS["exact-match"] = _both(METRICS["exact-match"], record_of_texts(texts.exact_match(), 5))
"""Metrics with a name. Those with a number or names in parentheses are in `families`."""


def fitting(problem: str) -> list[str]:
    """Names of the metrics that fit *problem*, the usual one first.

    >>> fitting("multiclass")[:5]
    ['macro-f1', 'accuracy', 'log-loss', 'auc', 'qwk']
    """
    known = problem_of(problem).scored_as
    names = [name for name, record in METRICS.items() if known in record.formulas]
    return sorted(names, key=lambda name: METRICS[name].place.get(known, len(names)))


def suggested(data: str) -> tuple[str, str]:
    """The metric that is usual for such *data*, and the reason in a sentence.

    >>> suggested("a number")
    ('rmse', 'A number.')
    """
    found = ((name, record.usual_for.get(data)) for name, record in METRICS.items())
    return next((name, reason) for name, reason in found if reason is not None)


# Which scores a metric can have, so that a slip of the pen is noticed.


def score_problem(metric: str, what: str, score: float) -> str | None:
    """Why *score*, said to be the *what* score, cannot be one of *metric*; None where it can.

    >>> score_problem("pearson", "public", 0.93)
    >>> score_problem("pearson", "public", 93.52)
    'the public score is 93.52, but pearson lies between -1 and 1; did you mean 0.9352?'
    """
    if not math.isfinite(score):
        return f"the {what} score is {score}; it must be a number"
    low, high = METRICS[metric].bounds if metric in METRICS else (-math.inf, math.inf)
    if low <= score <= high:
        return None
    hundredth = round(score / 100, 10)
    percent = high == 1 and score >= 2 and low <= hundredth <= high
    hint = f"; did you mean {hundredth:g}?" if percent else ""
    if low == 0 and score < 0 and low <= -score <= high:  # some boards turn errors round
        hint = f"; did you mean {-score:g}?"
    return f"the {what} score is {score:g}, but {metric} {_range(low, high)}{hint}"


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"is at least {low:g}"
    return f"is at most {high:g}" if math.isinf(low) else f"lies between {low:g} and {high:g}"
