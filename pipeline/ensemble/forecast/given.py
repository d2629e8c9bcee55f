"""From an assessed ensemble to its forecast: what the forecast is told, and by which members."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.base.config import Competition
from pipeline.data.join import kept_by_fold
from pipeline.data.table import Table
from pipeline.data.units import documents
from pipeline.ensemble.assessment import Assessment, as_score, score_or_none
from pipeline.ensemble.decisions.choose import Decided
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.forecast.leaderboard import (
    FEWEST,
    Further,
    Leaderboard,
    leaderboard,
)
from pipeline.ensemble.forecast.mean_of_learners import Outputs, measured_gain, move_of_mean
from pipeline.ensemble.forecast.ranges import Labelled, Move, Scored, within
from pipeline.ensemble.honest import Nest
from pipeline.ensemble.predictor import Predictor, RowFeatures, Rows
from pipeline.folds.relation import compare_folds
from pipeline.oof.members import Members


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """An ensemble, its rows, and the files it was made from; train rows in the folds' order."""

    competition: Competition
    evidence: Evidence
    members: Members
    assessment: Assessment
    decided: Decided
    train: Table
    test: Table | None
    holdout: Table | None
    facts: Mapping[str, RowFeatures]
    """File -> facts about its rows."""
    fold_of_row: np.ndarray
    """(R, n)."""


def forecast(given: Given, holdout: Labelled | None) -> Leaderboard:
    """What the leaderboard will say of the decided predictions.

    *holdout* has the whole ensemble's predictions of the holdout file; where a member lacks them
    the other members are asked.
    """
    test, competition = given.test, given.competition
    if test is None:
        return Leaderboard(notes=["withheld: nothing is known of the test rows"])
    asked = documents(test, competition.task)
    parts = parts_of(competition, test, asked)
    evidence, decided, settings = given.evidence, given.decided, competition.folds
    metric, problem = evidence.metric, evidence.problem
    scored = Scored(metric, problem, evidence.truth, decided.predicted, evidence.group_of_row)
    rows, raw = evidence.predict(given.assessment.honest_blends)
    ours = Labelled(
        table=given.train,
        scored=scored,
        gain=decided.gain,
        raw=raw[np.argsort(rows)],
        fold_of_row=given.fold_of_row[0],
    )
    known = _of_documents(ours, competition)
    fold_of_row = given.fold_of_row
    if given.train.units is not None:
        fold_of_row = fold_of_row[:, given.train.units.first]
    holdout, absent, adjust = _with_holdout_rows(given, holdout)
    holdout = None if holdout is None else _of_documents(holdout, competition)
    columns = settings.group_columns
    further = Further(
        outputs=_outputs(given, test),
        measured=_measured(given, holdout, absent),
        refit=_refit(given),
        relation=compare_folds(known.table, asked, fold_of_row, settings.near_threshold, columns),
        names=competition.outputs,
        adjust=adjust,
        absent=absent,
    )
    found = leaderboard(known, holdout, asked, parts, settings.seed, columns, further)
    if evidence.kind.units and found.parts and move_of_mean(found.moves) is None:
        told = NOT_OF_THE_MEAN.format(evidence.kind.written["label"])
        found = replace(found, notes=[*found.notes, told])
    return of_same_learners(found, given.members.manifests, given.assessment.blend.weights)


def of_same_learners(
    found: Leaderboard, manifests: Sequence[Mapping[str, Any]], weights: np.ndarray
) -> Leaderboard:
    """*found*, withheld where it follows from held-out rows that other learners have answered than
    answer test rows (`AveragedRecipe.across_folds`), in a run that has weight."""
    others = [
        str(manifest["name"])
        for manifest, weight in zip(manifests, weights, strict=True)
        if weight and manifest.get("recipe", {}).get("across_folds")
    ]
    if not others or not found.parts or found.basis == "holdout":
        return found
    return Leaderboard(auc=found.auc, notes=[OTHERS.format(", ".join(others))])


OTHERS = (
    "withheld: test rows of {0} are answered by the mean over all folds, held-out rows by their "
    "own fold's learner alone, so folds do not say what the file scores; a dev file "
    "(data.holdout) does"
)
WITHHELD = "withheld: a member's own score is in doubt, so nothing follows from that of the blend"


def parts_of(competition: Competition, test: Table, asked: Table) -> dict[str, int]:
    """whole, and where the public share is known public and private -> rows of *test*, whose
    documents are *asked*."""
    parts = {"whole": len(test)}
    if shares := competition.submissions.rows(len(asked)):
        size = len(test) / len(asked)  # of a document
        parts |= {"public": round(shares[0] * size), "private": round(shares[1] * size)}
    return parts


def forecast_texts(
    competition: Competition,
    ours: Labelled,
    holdout: Labelled | None,
    test: Table,
    fold_of_row: np.ndarray,
    refit: float,
    together: Move | None,
) -> Leaderboard:
    """What the leaderboard will say of texts: *ours* are the training rows, in the folds' order,
    with the honest ones; *refit* is what weights fitted on all rows may gain, *together* what the
    candidates of all learners do, where that is known."""
    settings = competition.folds
    columns = settings.group_columns
    related = compare_folds(ours.table, test, fold_of_row, settings.near_threshold, columns)
    names = competition.outputs
    further = Further(refit=refit, together=together, relation=related, names=names)
    parts = parts_of(competition, test, test)
    found = leaderboard(ours, holdout, test, parts, settings.seed, columns, further)
    if not found.parts:
        return found
    known = ours if found.basis == "train" or holdout is None else holdout
    if together is None and known is ours:
        found = replace(found, notes=[*found.notes, MORE_TO_CHOOSE_FROM])
    return of_any_references(found, known)


def of_any_references(found: Leaderboard, known: Labelled) -> Leaderboard:
    """Wider where rows have unlike numbers of references and score by how many they have: nobody
    knows how many those of test have."""
    scored, told = known.scored, {}
    counts = np.array([len(each) for each in scored.truth])
    for count in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == count)
        if len(rows) >= FEWEST:
            told[count] = scored.metric.gain(scored.truth[rows], scored.predicted[rows])
    if len(told) < 2:
        return found
    apart = sorted(scored.metric.as_gain(gain - known.gain) for gain in told.values())
    parts = {
        name: within(
            scored.metric,
            replace(each, low=each.low + min(apart[0], 0), high=each.high + max(apart[-1], 0)),
        )
        for name, each in found.parts.items()
    }
    figures = [f"{scored.metric.as_gain(told[count]):.4f} with {count}" for count in told]
    some = figures if len(figures) < SHOWN else [figures[0], figures[len(told) // 2], figures[-1]]
    note = OF_ANY_REFERENCES.format(", ".join(some))
    return replace(found, parts=parts, notes=[*found.notes, note])


SHOWN = 5
"""Figures in a sentence."""
OF_ANY_REFERENCES = (
    "the score goes with how many right answers a row has: {0}. How many a test row has is not "
    "known, so the range holds all of these"
)
MORE_TO_CHOOSE_FROM = (
    "of texts the range does not hold what more candidates gain (a test row has those of every "
    "fold's learner, a held-out row those of one): expect a little more"
)
NOT_OF_THE_MEAN = (
    "of {0} the range does not hold what the mean of the folds' learners gains on test over one "
    "of them: expect a little more"
)


def _of_documents(known: Labelled, competition: Competition) -> Labelled:
    """*known*, of units with the table of their documents."""
    if known.table.units is None:
        return known
    units, fold = known.table.units, known.fold_of_row
    return replace(
        known,
        table=documents(known.table, competition.task),
        fold_of_row=None if fold is None else fold[units.first],
        document=units.number,
    )


def _outputs(given: Given, test: Table) -> Outputs | None:
    """What each fold's learners say of test, blended and decided; None where that is not known."""
    learners = given.members.by_fold.get("test")
    if not learners or len({each.shape for each in learners}) > 1 or not learners[0].size:
        return None
    facts, blend, problem = given.facts.get("test"), given.assessment.blend, given.evidence.problem
    places = kept_by_fold(test.ids)
    about = None if facts is None else facts.take(places)
    raw = np.stack(
        [
            blend.predict(Rows([each[fold] for each in learners], about), problem)
            for fold in range(len(learners[0]))
        ]
    )
    mean = blend.predict(Rows([each[places] for each in given.members.test], about), problem)
    return Outputs(
        raw=raw,
        decided=np.stack([given.decided.apply(each) for each in raw]),
        raw_mean=mean,
        decided_mean=given.decided.apply(mean),
        place=None if test.units is None else test.units.place[places],
    )


def _refit(given: Given) -> float:
    """What weights fitted on all rows may gain over those without a fold.

    Both the flattery of the in-sample score and what more rows bring fall as one over the number of
    rows: half the flattery is the excess error of weights fitted on all rows, and those on K - 1 of
    K folds have K / (K - 1) times as much.
    """
    optimism, evidence = given.assessment.headline.optimism, given.evidence
    return refit_of(optimism, len(evidence.folds), len(evidence.names))


def refit_of(optimism: float | None, folds: int, members: int) -> float:
    """The same from the in-sample gain minus the honest one.

    >>> refit_of(0.04, folds=5, members=2), refit_of(0.04, folds=5, members=1)
    (0.005, 0.0)
    """
    if optimism is None or optimism <= 0 or folds < 3 or members < 2:
        return 0.0
    return float(optimism / 2 / (folds - 1))


def _with_holdout_rows(
    given: Given, holdout: Labelled | None
) -> tuple[Labelled | None, list[str], float]:
    """The holdout by the members that predict it, the names of those that do not, and what those
    add to the honest score."""
    if holdout is None or given.holdout is None:
        return None, [], 0.0
    has = [bool(np.isfinite(each).all()) for each in given.members.holdout]
    if all(has):
        return holdout, [], 0.0
    places = [place for place, known in enumerate(has) if known]
    absent = [name for name, known in zip(given.members.names, has, strict=True) if not known]
    if not places:
        return None, absent, 0.0
    evidence = given.evidence.keep(places)
    nest = Nest(evidence, given.competition.folds.seed)
    method = given.assessment.method
    blend = nest.fit(method, evidence.folds)
    rows = Rows([given.members.holdout[place] for place in places], given.facts.get("holdout"))
    known = known_rows(evidence, given.holdout, rows, blend, given.decided)
    whole = given.assessment.nest.honest_gain(given.assessment.told)
    adjust = float(whole - nest.honest_gain(method))
    adjust = adjust if np.isfinite(adjust) and given.evidence.metric.cuts is None else 0.0
    return known, absent, adjust


def _measured(
    given: Given, holdout: Labelled | None, absent: list[str]
) -> tuple[float, float] | None:
    """The gain of the mean of learners on the holdout file, where every member predicts it."""
    learners = given.members.by_fold.get("holdout")
    if given.holdout is None or holdout is None or absent or not learners or not learners[0].size:
        return None
    places, problem = kept_by_fold(given.holdout.ids), given.evidence.problem
    facts = given.facts.get("holdout")
    about = None if facts is None else facts.take(places)
    blend = given.assessment.blend
    decided = [
        given.decided.apply(blend.predict(Rows([each[fold] for each in learners], about), problem))
        for fold in range(len(learners[0]))
    ]
    part = holdout.scored.rows(places)
    return measured_gain(part, np.stack(decided), given.competition.folds.seed)


# Labelled rows that nothing was fitted on: what the members and the ensemble score there.


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """Scores on labelled rows that nothing was fitted on; None where undefined."""

    members: list[float | None]
    """(M,)."""
    ensemble: float | None


def known_rows(
    evidence: Evidence,
    holdout: Table | None,
    given: Rows,
    blend: Predictor,
    decided: Decided,
) -> Labelled | None:
    """The holdout's rows with their decided predictions; None where there are none.

    Rows that a member does not predict have no score.
    """
    if holdout is None or holdout.targets is None:
        return None
    raw = blend.predict(given, evidence.problem)
    predicted = decided.apply(raw) if np.isfinite(raw).all() else raw
    truth, documents = holdout.targets, holdout.document
    scored = Scored(evidence.metric, evidence.problem, truth, predicted, documents)
    score = score_or_none(evidence.metric, holdout.targets, predicted)
    gain = -math.inf if score is None else evidence.metric.as_gain(score)
    return Labelled(table=holdout, scored=scored, gain=gain, raw=raw)


def score_holdout(known: Labelled, members: Sequence[np.ndarray]) -> Holdout:
    """Scores of the *members*, M arrays (h, k), and of the ensemble."""
    metric, truth = known.scored.metric, known.scored.truth
    return Holdout(
        members=[score_or_none(metric, truth, member) for member in members],
        ensemble=as_score(metric, known.gain),
    )
