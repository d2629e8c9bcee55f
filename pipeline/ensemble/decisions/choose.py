"""Which decision is applied, and the score that holds with it.

For each fold f a decision is fitted on the other folds' predictions, which were made without f, by
blends that had not seen the row either. Applied to f's honest predictions, that gives its honest
effect. Whether to apply one at all is chosen without f as well: the candidates are compared on the
other folds' predictions, each decided by what was fitted on the rest of those folds. So the score
of the whole, with its choice, was made without a look at the fold it is scored on.

From simple to flexible, a candidate takes over where it beats what was chosen so far by its hurdle.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from pipeline.base import Competition
from pipeline.ensemble.decisions.candidates import candidates, forced
from pipeline.ensemble.decisions.decision import Candidate, Decision, Hurdle, Labelled
from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.honest import AUTO, NESTED_RESAMPLES, UPPER, Difference, Gain, Nest
from pipeline.metrics import Draws, Metric, MetricError, resampled_gains
from pipeline.metrics.bootstrap import RESAMPLES, freedom
from pipeline.problems.form import Form

# Judging a change of predictions: its effect, its interval, and whether that is enough.


YES = {
    "no harm": "yes: it does no harm, and test rows may need it",
    "a standard error": "yes: more than a standard error better",
    "real": "yes: the whole interval is above 0",
}
"""Hurdle -> why a candidate that cleared it is applied."""


@dataclass(eq=False)
class Judge:
    """Compares predictions of the same rows, all by the same bootstrap draws over groups."""

    metric: Metric
    problem: str
    truth: np.ndarray
    """(n, k) targets, (n, 1) for multiclass."""
    draws: Draws
    _known: dict[int, tuple[np.ndarray, float, np.ndarray]] = field(default_factory=dict)

    def score(self, predicted: np.ndarray) -> float:
        """The gain (more is better) of *predicted* (n, k); -inf where it is undefined."""
        return self._measured(predicted)[1]

    def gain(self, one: np.ndarray, other: np.ndarray) -> Gain:
        """By how much *one* beats *other*, with its 95 % interval."""
        (_, first, drawn), (_, second, against) = self._measured(one), self._measured(other)
        with np.errstate(invalid="ignore"):
            apart = first - second
        reach = float(stdtrit(freedom(self.metric, self.draws), UPPER))
        return Difference(float(apart), drawn - against, of_fits=0.0, reach=reach).gain()

    def _measured(self, predicted: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """The predictions (kept, so that their name stays theirs), their gain, and its draws."""
        if id(predicted) not in self._known:
            try:
                gain = self.metric.gain(self.truth, predicted)
            except MetricError:
                gain = -math.inf
            drawn = np.array([np.nan])
            if math.isfinite(gain):
                drawn = resampled_gains(self.metric, self.truth, predicted, self.draws)
            self._known[id(predicted)] = (predicted, gain, drawn)
        return self._known[id(predicted)]


def clears(step: Gain, hurdle: Hurdle) -> bool:
    """Whether an effect is large enough to be applied."""
    match hurdle:
        case "no harm":
            return step.difference >= 0
        case "a standard error":
            return step.difference > max(step.error, 0.0)
        case "real":
            return step.low > 0


def refused(step: Gain, hurdle: Hurdle, chosen: str) -> str:
    """Why a candidate with this effect over what is *chosen* is not applied."""
    over = "" if chosen == "nothing" else f" beside {chosen}"
    if step.difference == 0:
        return f"no: as fitted on the other folds it changes nothing{over}"
    if step.difference < 0:
        return f"no: it harms{over}"
    if hurdle == "real":
        return f"no: its interval{over} holds 0"
    return f"no: within a standard error{over}"


NOTHING = "nothing"
FEWEST = 3  # folds: one to decide, one to fit and one to compare on

Honest = Callable[[FoldSet], np.ndarray]
"""The predictions (n_F, k) of the rows of some folds, each fold's made without it and without all
folds that are not among them."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One candidate."""

    name: str
    detail: str
    """What was fitted on all rows, in words."""
    effect: Gain
    """Honest gain over applying nothing."""
    applied: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What is done to predictions before they are written, and the score that holds with it."""

    form: Decision | None
    """What the file's form does first."""
    chosen: str
    decision: Decision | None
    """Fitted on all honest predictions; None: nothing is applied."""
    lines: list[Line]
    effect: Gain
    """Honest gain of all that is applied to the file over the raw predictions."""
    nested: list[str]
    """(K,) what is chosen without each fold."""
    predicted: np.ndarray = field(repr=False)
    """(n, k) honest predictions, decided: those that the file's score is told from."""
    anew: np.ndarray = field(repr=False)
    """(n, k) the same with all that is chosen chosen anew without each fold."""
    undecided: np.ndarray = field(repr=False)
    """(n, k) the same with nothing but what the form of the file does."""
    gain: float
    """The gain of *predicted*: the honest score that the file has."""
    before: float
    """The same before anything was decided."""
    with_choice: bool
    """Whether *predicted* holds the choice of the decision, anew without each fold."""
    of_method: bool
    """Whether the file's own method made them in every fold, where choosing it scores higher."""

    @property
    def step(self) -> Decision | None:
        """What is done; None: nothing."""
        return self.decision or self.form

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) decided values from predictions (m, k)."""
        return predicted if self.step is None else self.step.apply(predicted)

    @property
    def wavers(self) -> bool:
        """Whether leaving out a fold changes the choice."""
        return any(name != self.chosen for name in self.nested)


def decide(
    evidence: Evidence,
    honest: Honest,
    candidates: Sequence[Candidate],
    form: Decision | None,
    seed: int,
    names: list[str],
    of_method: Honest | None = None,
) -> Decided:
    """Fit, compare and choose, as the module says.

    Args:
        evidence: truth, folds and groups.
        honest: honest predictions of any set of folds.
        of_method: the same by the method of the file, where *honest* chose another in some fold.
        form: what the form of the file does before any choice.
        names: (k,) the prediction columns, for words.
    """
    return _Chooser(evidence, honest, list(candidates), form, seed).whole(names, of_method)


@dataclass(eq=False)
class _Chooser:
    evidence: Evidence
    honest: Honest
    candidates: list[Candidate]
    form: Decision | None
    seed: int

    def whole(self, names: list[str], of_method: Honest | None) -> Decided:
        """The choice on all folds, and what it is worth; *names* are the prediction columns."""
        folds = self.evidence.folds
        rows, fold_of_row = self._part(folds)
        parts = {fold: self._part(folds - {fold}) for fold in folds} if self._enough else {}
        versions = {NOTHING: self._shaped(rows.predicted)}
        for each in self.candidates if self._enough else []:
            fitted = {fold: each.rule(part) for fold, (part, _) in parts.items()}
            versions[each.name] = _by_fold(fitted, rows.predicted, fold_of_row)
        judge = self._judge(rows, RESAMPLES)
        chosen, reasons = self._choose(versions, judge)
        nested = {fold: self._choice(*part) for fold, part in parts.items()}
        decided = versions[NOTHING].copy()
        for fold, name in nested.items():
            decided[fold_of_row == fold] = versions[name][fold_of_row == fold]
        final = {each.name: each.rule(rows) for each in self.candidates if each.name in versions}
        whole = versions[NOTHING] if chosen == NOTHING else decided
        raw, own = rows.predicted, versions[chosen]
        if of_method is not None:
            raw, own = self._own(chosen, of_method)
        lower = math.isfinite(judge.score(own)) and judge.score(own) < judge.score(whole)
        raw, told = (raw, own) if lower else (rows.predicted, whole)
        return Decided(
            form=self.form,
            chosen=chosen,
            decision=final.get(chosen),
            lines=[
                Line(
                    name=name,
                    detail=decision.says(names),
                    effect=judge.gain(versions[name], versions[NOTHING]),
                    applied=name == chosen,
                    why=reasons[name],
                )
                for name, decision in final.items()
            ],
            effect=judge.gain(told, raw),
            nested=[nested.get(fold, NOTHING) for fold in sorted(folds)],
            predicted=told,
            anew=decided,
            undecided=versions[NOTHING],
            gain=judge.score(told),
            before=judge.score(raw),
            with_choice=not lower and chosen != NOTHING,
            of_method=lower and of_method is not None,
        )

    def _own(self, chosen: str, of_method: Honest) -> tuple[np.ndarray, np.ndarray]:
        """(n, k) honest predictions of the file's own method, raw, and as the file decides them."""
        inner = replace(self, honest=of_method)
        folds = self.evidence.folds
        rows, fold_of_row = inner._part(folds)
        for each in self.candidates:
            if each.name == chosen:
                fitted = {fold: each.rule(inner._part(folds - {fold})[0]) for fold in folds}
                return rows.predicted, _by_fold(fitted, rows.predicted, fold_of_row)
        return rows.predicted, self._shaped(rows.predicted)

    @property
    def _enough(self) -> bool:
        return len(self.evidence.folds) >= FEWEST and bool(self.candidates)

    def _part(self, folds: FoldSet) -> tuple[Labelled, np.ndarray]:
        """The rows of *folds* with predictions made within them, and the fold of each."""
        rows, evidence = self.evidence.rows(folds), self.evidence
        labelled = Labelled(evidence.truth[rows], self.honest(folds), evidence.group_of_row[rows])
        return labelled, evidence.fold_of_row[rows]

    def _choice(self, rows: Labelled, fold_of_row: np.ndarray) -> str:
        """What is chosen on *rows* alone, each fold decided by what was fitted on the others."""
        versions = {NOTHING: self._shaped(rows.predicted)}
        for each in self.candidates:
            fitted = {
                fold: each.rule(rows.rows(fold_of_row != fold))
                for fold in np.unique(fold_of_row).tolist()
            }
            versions[each.name] = _by_fold(fitted, rows.predicted, fold_of_row)
        return self._choose(versions, self._judge(rows, NESTED_RESAMPLES))[0]

    def _choose(
        self, versions: Mapping[str, np.ndarray], judge: Judge
    ) -> tuple[str, dict[str, str]]:
        """The name that is chosen, and why or why not of each candidate."""
        chosen, reasons = NOTHING, {}
        for each in self.candidates:
            if each.name not in versions:
                continue
            step = judge.gain(versions[each.name], versions[chosen])
            if clears(step, each.hurdle):
                if chosen != NOTHING:
                    reasons[chosen] = f"no: {each.name} is better"
                chosen, reasons[each.name] = each.name, YES[each.hurdle]
            else:
                reasons[each.name] = refused(step, each.hurdle, chosen)
        return chosen, reasons

    def _judge(self, rows: Labelled, resamples: int) -> Judge:
        draws = Draws.over(rows.group_of_row, self.seed, resamples)
        return Judge(self.evidence.metric, self.evidence.problem, rows.truth, draws)

    def _shaped(self, predicted: np.ndarray) -> np.ndarray:
        return predicted if self.form is None else self.form.apply(predicted)


def _by_fold(
    fitted: Mapping[int, Decision], predicted: np.ndarray, fold_of_row: np.ndarray
) -> np.ndarray:
    """(n, k) each fold decided by its own decision."""
    decided = np.empty_like(predicted, dtype=float)
    for fold, decision in fitted.items():
        decided[fold_of_row == fold] = decision.apply(predicted[fold_of_row == fold])
    return decided


# The decisions of an ensemble, fitted inside its nest.


def decide_on(
    competition: Competition,
    metric: Metric,
    nest: Nest,
    requested: str,
    form: Form,
    seen_range: tuple[float, float],
    method: str | None = None,
) -> Decided:
    """What is done to the ensemble's predictions before they fill a file of this *form*.

    Args:
        metric: what scores the file.
        nest: the fits of every method on every set of folds.
        requested: a method's name, or "auto".
        seen_range: the lowest and the highest target of train.
        method: what "auto" chose for the file.
    """
    task, evidence = competition.task, nest.evidence

    def by(method: str, folds: FoldSet) -> np.ndarray:
        """Predictions of the rows of *folds*, each fold's by a blend fitted on the others."""
        return evidence.predict(nest.left_out(method, folds))[1]

    def honest(folds: FoldSet) -> np.ndarray:
        if requested == AUTO and folds != evidence.folds:
            return by(nest.choose(folds).method, folds)  # once: these rows are fitted on
        return by(requested, folds)

    wavers = method is not None and requested == AUTO and nest.wavers(method)
    offered = candidates(task, metric, form.kind, evidence.truth, bool(form.join))
    asked = repr((task, metric.name, form.kind, form.join))
    return decide(
        evidence.judged_by(metric),
        honest,
        [_once(each, nest.decisions, asked) for each in offered],
        forced(task, metric, form.kind, seen_range, evidence.truth, bool(form.join)),
        competition.folds.seed,
        competition.outputs,
        of_method=(lambda folds: by(method, folds)) if wavers and method else None,
    )


def _once(candidate: Candidate, fits: dict[tuple[str, ...], Any], asked: str) -> Candidate:
    """The *candidate*, fitted once to the same predictions of the same rows: a blend that fits
    nothing makes them whichever folds are left out, and two methods may choose one member."""

    def fit(rows: Labelled) -> Decision:
        digest = hashlib.sha256()
        for each in (rows.truth, rows.predicted, rows.group_of_row):
            digest.update(np.ascontiguousarray(each).data)
        key = (candidate.name, asked, digest.hexdigest())
        if key not in fits:
            fits[key] = candidate.rule(rows)
        decision: Decision = fits[key]
        return decision

    return replace(candidate, rule=fit)
