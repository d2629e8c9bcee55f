"""A question that only learners of the right folds can answer: a proof for a file in doubt.

    python -m pipeline.team challenge anna --out challenge.csv
    python -m pipeline.team challenge anna --answer answer.csv

The file holds rows of train, each twice, and beside each a fold: the learner that was trained
without this fold is to predict it. One of the two folds is the row's own, so that this learner has
not seen the row; the other learner was trained on it. What is held against the answers:

- The learners of the own folds must give the stored predictions back, or others have answered.
- The learners that were trained on a row must be nearer to its label, clearly (PROVED standard
  errors, and a tenth of the error). One model that was trained on all rows has one answer for both,
  and learners that were trained on their own fold are nearer where they should not be.
- So it must be in each fold: one in which those that saw a row gain less than half as much as in
  all, and whose gain lies APART errors below the others', was predicted by a learner that saw it.

Where rows are units of documents (tags, answers in texts) a question is a whole document, and its
error the mean over its units. Texts are held against the stored ones by the competition's metric,
and their error is what they are short of a perfect score; of texts that are drawn (sampling) the
learners cannot give the stored ones back, and nothing is proved.

A learner that fits what it has seen no better than anything else proves nothing in this way; nor
can it have gained much by seeing it. What the answers cannot show: a column made from the labels of
all rows, which every learner was given. Rows with half of their words taken out were tried as
questions first; four of five leaking models passed (benchmarks/results/audits.md).

Which rows are asked follows from the passport and the run's name: the same for everybody who has
them, and not to be chosen.
"""

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.base import DataError, Paths, UsageError, generator
from pipeline.base.files import commit_json, commit_text, sha256
from pipeline.base.leases import lease
from pipeline.data import Table, compare, places_of
from pipeline.data.reading.reader import read
from pipeline.data.table import listing
from pipeline.data.units import NUMBER
from pipeline.oof import origin_of
from pipeline.team.candidate import Kind, as_outputs
from pipeline.team.columns import about_rows, find_columns, numbers
from pipeline.team.competition import CompetitionView, Peer
from pipeline.team.table import CandidateTable
from pipeline.team.texts import said_in, text_column

ASKED = 400  # rows; twice as many questions
FEWEST = 40  # fewer say nothing
SAME_TEXT = 0.9  # by the metric, of an answer with the stored text as the only reference
SAME = 0.05  # of the predictions' standard deviation: so far off an answer may be by rounding
ERRORS, PROVED = 3.0, 5.0  # standard errors of the difference of squared errors: that it is there
# the wrong way round; that it proves something. One model of all rows beside honest learners of the
# other folds reached 3.0 to 4.7 in 3 of 89 cases, and 9.8 in one; honest learners 6 and more, but
# for those that remember next to nothing (benchmarks/results/audits.md).
APART = 4.0  # of a fold to the others: honest ones 3.5 at most among 89, nine in ten leaks more
ALL_THE_SAME = 0.99  # of texts, that one learner wrote them all
LEAST = 0.1  # of the squared error, by which learners that have seen a row must be better

Verdict = Literal["passed", "failed", "no proof"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Challenge:
    """2 a questions about a rows of train, or a of its documents."""

    ids: np.ndarray
    """(q,) of the questions."""
    fold: np.ndarray
    """(q,) the fold whose learner is asked."""
    own: np.ndarray
    """(a,) the fold of what is asked about, in the order of the folds."""
    rows: list[np.ndarray]
    """(a,) each: positions of its rows, one, or those of its units."""
    place: np.ndarray
    """(q,) where each question stands in: those to the own folds, then those to others."""
    train: Table
    """All rows, in the order of the folds."""

    def of_questions(self) -> list[np.ndarray]:
        """(q,) each: the positions of its rows."""
        return [self.rows[place % len(self.rows)] for place in self.place.tolist()]

    def answer_ids(self) -> list[str]:
        """The ids of the answers, in the order of the questions: of units ID#PLACE."""
        units, asked = self.train.units, self.of_questions()
        if units is None:
            return list(self.ids.tolist())
        places = [units.place[rows].tolist() for rows in asked]
        pairs = zip(self.ids.tolist(), places, strict=True)
        return [f"{name}{NUMBER}{place}" for name, each in pairs for place in each]

    def parted(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """*answers* in the order of the questions -> those of the own folds, those of others, rows
        as in `rows`."""
        sizes = np.array([len(rows) for rows in self.of_questions()])
        pieces = np.split(answers, np.cumsum(sizes)[:-1])
        back = np.argsort(self.place).tolist()
        half = len(self.rows)
        return (
            np.concatenate([pieces[place] for place in back[:half]]),
            np.concatenate([pieces[place] for place in back[half:]]),
        )

    def means(self, errors: np.ndarray) -> np.ndarray:
        """(a,) the means of *errors* of the rows in `rows`."""
        sizes = np.array([len(rows) for rows in self.rows])
        return np.asarray(np.add.reduceat(errors, np.cumsum(sizes) - sizes) / sizes)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What an answer proves."""

    verdict: Verdict
    says: str
    nearer: float | None = None
    """Share of the squared error that learners lose that were trained on a row."""
    errors: float | None = None
    """The same difference in standard errors."""

    def as_values(self) -> dict[str, Any]:
        """For run.json and --json."""
        return asdict(self)


def challenge_of(contest: CompetitionView, run: str) -> Challenge:
    """The questions to the learners of *run*; UsageError where there are too few rows."""
    random = generator(int(contest.folds.digest[:12], 16) % 2**31, f"challenge {run}")
    train = contest.tables.train.in_order(contest.folds.ids)
    every = [np.array([row]) for row in range(len(train))]
    if train.units is not None:
        every = [np.arange(each.start, each.stop) for each in train.units.documents]
    if len(every) < FEWEST:
        raise UsageError(f"a challenge takes {FEWEST} rows of train; there are {len(every)}")
    chosen = np.sort(random.permutation(len(every))[:ASKED])
    rows, count = [every[each] for each in chosen.tolist()], contest.folds.count
    own = contest.folds.fold_of_row[0][[each[0] for each in rows]]
    other = (own + 1 + random.integers(count - 1, size=len(rows))) % count
    order = random.permutation(2 * len(rows))
    return Challenge(
        ids=np.array([f"question-{number:04d}" for number in range(len(order))], dtype=object),
        fold=np.concatenate([own, other])[order],
        own=own,
        rows=rows,
        place=order,
        train=train,
    )


def write(contest: CompetitionView, run: str, path: Path) -> int:
    """Write the questions as a csv; how many there are."""
    asked = challenge_of(contest, run)
    stream, train = io.StringIO(), asked.train
    writer = csv.writer(stream, lineterminator="\n")
    columns = contest.competition.columns
    question = [] if columns.question is None else [columns.question]
    writer.writerow([columns.id, "fold", *columns.texts, *question, *train.features])
    for name, fold, rows in zip(asked.ids, asked.fold, asked.of_questions(), strict=True):
        more = [column[rows[0]] for column in train.features.values()]
        writer.writerow([name, fold, *_read_of(contest, train, rows), *more])
    if path.exists() and path.read_text(encoding="utf-8") != stream.getvalue():
        raise UsageError(f"{path} is there already with other content; name another with --out")
    commit_text(path, stream.getvalue())
    return len(asked.ids)


def _read_of(contest: CompetitionView, train: Table, rows: np.ndarray) -> list[str]:
    """What learners read of these *rows*: texts of one, or the units of a document as its file has
    them, and what is asked of it."""
    units = train.units
    if units is None:
        return list(train.texts[rows[0]])
    pieces, after = train.texts[rows, 0].tolist(), units.after[rows].tolist()
    given = contest.competition.columns.unit == "given" and not contest.kind.spans
    text = "".join(map("".join, zip(pieces, after, strict=True)))
    read = json.dumps(pieces, ensure_ascii=False) if given else text
    return [read] if units.asked is None else [read, str(units.asked[rows[0]])]


def read_answer(contest: CompetitionView, run: str, path: Path, logits: bool = False) -> np.ndarray:
    """(r, k) the answers in the order of the questions, or (r,) texts; DataError where they do not
    fit."""
    expected = challenge_of(contest, run).answer_ids()
    frame = read(path).frame
    if contest.kind.predictions == "texts":
        about = about_rows(frame, contest.competition, path.name, set(expected), None, None)
        said = said_in(frame, text_column(about, contest, path.name), path.name)
        order = _order(frame[about.id].tolist(), expected, path.name)
        found = [said[place] for place in order]
        if lacking := [name for name, each in zip(expected, found, strict=True) if each is None]:
            told = listing(lacking[:5], len(lacking))
            raise DataError(f"{path.name} has no text for {told}. Answer each row of it")
        return np.array([*(each[0][0] for each in found), None], dtype=object)[:-1]
    kind: Kind = "values" if contest.kind.numeric else "probabilities"
    if logits:
        kind = "logits"
    columns = find_columns(frame, contest.competition, path.name, set(expected), lambda *_: False)
    ids = frame[columns.id].to_numpy(dtype=object)
    cells = [numbers(frame[column].to_numpy(dtype=object)) for column in columns.outputs]
    sheet = CandidateTable(
        name=path.name,
        sha256=sha256(path),
        columns=columns,
        ids=ids,
        part=np.full(len(ids), "train", dtype=object),
        values=np.stack(cells, axis=1),
        folds=None,
        labels=None,
        passports=[],
        notes=[],
    )
    given = as_outputs(sheet, kind, contest)
    values = given[_order(ids.tolist(), expected, path.name)]
    if not np.isfinite(values).all():
        raise DataError(f"{path.name} holds cells that are no finite number")
    return values


def _order(ids: Sequence[str], expected: Sequence[str], name: str) -> list[int]:
    """Where the *expected* answers stand in the file called *name*."""
    lacking = compare(ids, expected).missing
    if lacking or len(ids) != len(expected):
        raise DataError(
            f"{name} has {len(ids)} rows, {len(expected)} were asked; missing: "
            f"{listing(lacking[:5], len(lacking)) or 'none'}. Predict each row of it once"
        )
    found: list[int] = places_of(expected, ids, f"the answers in {name}").tolist()
    return found


ONE = (
    "one learner answered for all folds: the same answers with and without the row in training, so "
    "it has seen all rows, or none of them"
)


def judge(contest: CompetitionView, peer: Peer, answers: np.ndarray) -> Answered:
    """What the *answers* (r, k), or texts (r,), of the learners behind *peer* prove."""
    asked = challenge_of(contest, peer.name)
    own, other = asked.parted(answers)
    rows = np.concatenate(asked.rows)
    if contest.kind.predictions == "texts":
        return _judged_texts(contest, asked, peer.oof[rows], own, other)
    stored, a = peer.oof[rows], len(asked.rows)
    spread = max(float(stored.std()), 1e-12)
    off = float(np.sqrt(((own - stored) ** 2).mean()))
    if off > SAME * spread:
        return Answered(
            verdict="failed",
            says=f"other learners answered: for {a} rows the learners without the row's own fold "
            f"lie {off:.3g} from the stored predictions, which spread by {spread:.3g}",
        )
    if float(np.sqrt(((own - other) ** 2).mean())) < 1e-4 * spread:
        return Answered(verdict="failed", says=ONE)
    truth = contest.kind.expand(contest.truth[rows], own.shape[1])
    unseen, seen = (asked.means(((each - truth) ** 2).sum(axis=1)) for each in (own, other))
    return _compared(unseen, seen, asked.own)


def _judged_texts(
    contest: CompetitionView,
    asked: Challenge,
    stored: np.ndarray,
    own: np.ndarray,
    other: np.ndarray,
) -> Answered:
    """As `judge`, of texts (a,)."""
    metric, score = contest.metric, contest.metric.formula.texts
    assert score is not None, "a metric of texts"
    as_stored = np.array([[text, None] for text in stored], dtype=object)[:, :1]
    alike = float(score.alone(as_stored, own).mean())
    if alike < SAME_TEXT * metric.best:
        return Answered(
            verdict="failed",
            says=f"other learners answered, or they draw their texts: of {len(own)} rows those of "
            f"the learners without the row's own fold have {metric.name} {alike:.3f} with the "
            f"stored ones as the right answers, and {SAME_TEXT:g} is asked for",
        )
    if (own == other).mean() > ALL_THE_SAME:
        return Answered(verdict="failed", says=ONE)
    truth = contest.truth[np.concatenate(asked.rows)]
    unseen, seen = (metric.best - score.alone(truth, each) for each in (own, other))
    return _compared(
        unseen, seen, asked.own, "a right answer", "of what is short of a perfect score"
    )


def _compared(
    unseen: np.ndarray,
    seen: np.ndarray,
    fold_of_row: np.ndarray,
    label: str = "its label",
    of: str = "of the squared error",
) -> Answered:
    """From errors (a,) of learners that should not have seen a row, and that have."""
    apart = unseen - seen
    error = float(apart.std(ddof=1)) / len(apart) ** 0.5
    errors = float(apart.mean()) / max(error, 1e-12)
    nearer = float(apart.mean() / max(float(unseen.mean()), 1e-12))
    told = (
        f"learners that were trained on a row are nearer to {label} than those that were not: "
        f"{100 * nearer:.0f} % {of} ({errors:+.1f} standard errors)"
    )
    if errors < -ERRORS:
        says = f"{told}. The wrong way round: were learners trained on the folds they predict?"
        return Answered(verdict="failed", says=says, nearer=nearer, errors=errors)
    worst, far = _lagging(unseen, apart, fold_of_row, nearer)
    if far > APART:
        says = f"{told}, but not in fold {worst} ({far:.1f} errors below the others): was its "
        says += "learner trained on it?"
        return Answered(verdict="failed", says=says, nearer=nearer, errors=errors)
    if errors < PROVED or nearer < LEAST:
        says = f"{told}; {PROVED:g} errors and {100 * LEAST:.0f} % would prove something"
        return Answered(verdict="no proof", says=says, nearer=nearer, errors=errors)
    return Answered(verdict="passed", says=told, nearer=nearer, errors=errors)


def _lagging(
    unseen: np.ndarray, apart: np.ndarray, fold_of_row: np.ndarray, nearer: float
) -> tuple[int, float]:
    """The fold whose gain lies farthest below that of the others, and how far, in errors; 0 where
    each gains half as much as all."""
    found = (-1, 0.0)
    for fold in np.unique(fold_of_row).tolist():
        here = fold_of_row == fold
        parts = apart[here], apart[~here]
        if min(map(len, parts)) < 2 or parts[0].mean() > nearer * unseen[here].mean() / 2:
            continue
        error = float(np.hypot(*(part.std(ddof=1) / len(part) ** 0.5 for part in parts)))
        far = float(parts[1].mean() - parts[0].mean()) / max(error, 1e-12)
        found = max(found, (fold, far), key=lambda each: each[1])
    return found


def check_given(peer: Peer) -> None:
    """Raise UsageError for a run of our own, of which nothing is to be proved."""
    if origin_of(peer.manifest) is None:
        raise UsageError(f"{peer.name} was trained here: there is nothing to prove")


def answered_of(team: Mapping[str, Any]) -> Answered | None:
    """What was proved of a run, from its field "team"; None where nothing was asked."""
    kept = team.get("challenge")
    if not isinstance(kept, dict):
        return None
    values: dict[str, Any] = {each.name: kept.get(each.name) for each in fields(Answered)}
    return Answered(**values)


def enter(paths: Paths, peer: Peer, answer: Path, found: Answered) -> dict[str, Any]:
    """Keep the verdict in run.json of a team-mate's run; return what that holds now."""
    team = origin_of(peer.manifest) or {}
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    told = {"file": answer.name, "sha256": sha256(answer), "when": when, **found.as_values()}
    with lease(paths.workspaces / f".{peer.name}.team.lease", f"run {peer.name}") as held:
        held.check()
        manifest = dict(peer.manifest)
        manifest["team"] = team | {"challenge": told}
        commit_json(paths.run_manifest(peer.name), manifest)
    return manifest


def instructions(contest: CompetitionView, run: str, path: Path, count: int) -> list[str]:
    """What to tell the team-mate."""
    texts, what = contest.competition.columns.texts, "rows"
    predictions = "the predictions, named as in the file that was sent"
    form = f"the ids and {predictions}"
    if contest.kind.predictions == "texts":
        form = "the ids and one text of each, the first that it writes"
    elif contest.kind.units:
        what = "texts"
        form = f"a row per unit (ids such as question-0000{NUMBER}3) and {predictions}"
    return [
        f"wrote {path}: {count} {what} for whoever made {run}",
        "  1  predict each row with the learner that was trained without the fold beside it",
        f"     (text in {', '.join(texts)}; not the mean of all learners, nothing trained anew)",
        f"  2  write a csv with {form}",
        f"  3  python -m pipeline.team challenge {run} --answer ANSWER.csv",
    ]
