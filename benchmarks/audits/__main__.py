"""How often does the audit of `pipeline.team add` accuse an honest file; which faults does it see?

    python -m pipeline.init ../shared/data/NAME --root ROOT
    python -m benchmarks.audits NAME … --root ROOT [--worlds 50] [--workers 4] [--write]

A world takes rows of a competition's train file, whole groups, and cuts them into train, test and
holdout with folds of its own. Four models of different kinds (models.py) are trained on
these folds, none of which sees a row that it predicts. Each is a team-mate's file in turn: audited
alone, and beside the other three. Stronger honest files are one that was trained on three times as
many rows beside the weaker models, and the mean of three models beside the fourth. Then every model
is trained on what it must not see, and one is spoiled in every further way of faults.py.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from benchmarks.audits.faults import FAULTS, LEAKS, BuiltSubmission
from benchmarks.audits.models import Model, some_models
from benchmarks.audits.page import STRONGER, Line, page
from benchmarks.shared.machine import keep
from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.base.seeding import generator
from pipeline.data.table import Table
from pipeline.data.tables import Tables, load
from pipeline.folds.frozen import Folds, new_folds
from pipeline.metrics.formulas import indicators
from pipeline.metrics.metric import get_metric
from pipeline.team.audit import Audit, audit
from pipeline.team.candidate import Candidate, Kind
from pipeline.team.candidate_view import CandidateView
from pipeline.team.competition import CompetitionView, Peer

PARTS = ("train", "test", "holdout")
MORE = 2  # times as many rows as a world has, for the stronger model


def main() -> int:
    """Audit, print the page, and keep it with --write."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.audits", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="+")
    parser.add_argument("--root", type=Path, required=True, help="where configs/ lie")
    parser.add_argument("--worlds", type=int, default=50, help="of each competition")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rows", type=int, default=2000, help="of train, in each world")
    parser.add_argument("--show", action="store_true", help="print what was said of honest files")
    parser.add_argument("--write", action="store_true", help="keep the page")
    args = parser.parse_args()
    rows = {"train": args.rows, "test": args.rows // 2, "holdout": args.rows // 4}
    jobs = [(name, seed) for seed in range(args.worlds) for name in args.names]
    found = Parallel(n_jobs=args.workers)(delayed(world)(args.root, *job, rows) for job in jobs)
    lines = [line for each in found for line in each]
    if args.show:
        print("\n".join(shown(lines)))
    text = page(lines, rows)
    print(text)
    if args.write:
        keep("audits", text)
    return 0


def shown(lines: list[Line]) -> Iterator[str]:
    """Every accusation of an honest file."""
    for line in lines:
        if line.what not in FAULTS:
            for check, grade, says in line.accused:
                yield f"{line.name}, {line.model}, {line.what}: {grade}, {check}: {says}"


def world(root: Path, name: str, seed: int, rows: Mapping[str, int]) -> list[Line]:
    """All files of one world."""
    random = generator(seed, f"audits of {name}")
    contest, rest = cut(root, name, random, rows)
    models = some_models(contest.problem, contest.tables.train.texts.shape[1], random)
    made = {model.name: train(contest, model) for model in models}
    peers = {name: peer(name, each) for name, each in made.items()}
    lines = []
    for own, each in made.items():
        others = [peer for other, peer in peers.items() if other != own]
        for what, beside in (("alone", []), ("beside others", others)):
            lines.append(line(name, what, own, contest, each, beside))
        for what, leak in LEAKS.items():
            leaking = leak(each.copy(), contest, others, random)
            assert leaking is not None
            lines.append(line(name, what, own, contest, leaking, others))
    strongest = models[-1]
    strong = train(contest, strongest, rest)
    others = [peer for other, peer in peers.items() if other != strongest.name]
    lines.append(line(name, STRONGER[0], strongest.name, contest, strong, others))
    first, *more = list(made)
    mean = made[more[0]].copy()
    for part in PARTS:
        mean.values[part] = np.mean([made[each].values[part] for each in more], axis=0)
    lines.append(line(name, STRONGER[1], "mean", contest, mean, [peers[first]]))
    own = str(random.choice(list(made)))
    others = [peer for other, peer in peers.items() if other != own]
    for what, spoil in FAULTS.items():
        spoiled = None if what in LEAKS else spoil(made[own].copy(), contest, others, random)
        if spoiled is not None:
            lines.append(line(name, what, own, contest, spoiled, others))
    print(f"{name}, world {seed}: {len(lines)} files", file=sys.stderr, flush=True)
    return lines


def line(
    name: str,
    what: str,
    model: str,
    contest: CompetitionView,
    made: BuiltSubmission,
    peers: list[Peer],
) -> Line:
    """What is kept of the audit of a file."""
    found = looked_at(contest, made, peers)
    accused = [(f.check, f.grade, f.says) for f in found.findings if f.grade != "ok"]
    return Line(name, what, model, found.verdict, tuple(accused), removed(made, peers))


def removed(made: BuiltSubmission, peers: list[Peer]) -> float:
    """The share of the squared error that the best other run leaves which the file removes."""
    assert made.target is not None
    if not peers:
        return 0.0
    best = min(float(((peer.oof - made.target) ** 2).sum()) for peer in peers)
    return 1 - float(((made.oof - made.target) ** 2).sum()) / best


def looked_at(contest: CompetitionView, made: BuiltSubmission, peers: list[Peer]) -> Audit:
    """The audit of one file."""
    return audit(CandidateView(candidate(contest, made), contest, peers))


def cut(
    root: Path, name: str, random: np.random.Generator, rows: Mapping[str, int]
) -> tuple[CompetitionView, Table]:
    """A competition of so many rows, with folds that are frozen as those of any; and more rows."""
    competition = read_section(Competition, root / "configs" / f"{name}.yaml")
    whole = load(competition, root)
    groups = new_folds(competition, whole.train, root).group_of_row
    order = random.permutation(int(groups.max()) + 1)
    place = np.empty(len(order), dtype=int)
    place[order] = np.cumsum(np.bincount(groups)[order])  # where a group ends, groups in a row
    edges = np.cumsum([0, *rows.values()])
    parts = {
        part: whole.train.rows((place[groups] > low) & (place[groups] <= high))
        for part, low, high in zip(PARTS, edges[:-1], edges[1:], strict=True)
    }
    new = new_folds(competition, parts["train"], root)
    train = parts["train"]
    most = edges[-1] + MORE * rows["train"]
    rest = whole.train.rows((place[groups] > edges[-1]) & (place[groups] <= most))
    contest = CompetitionView(
        competition=competition,
        metric=get_metric(competition.task.metric, competition.task, root),
        tables=Tables(
            train=train,
            test=parts["test"],
            holdout=parts["holdout"],
            extra=None,
            sample=whole.sample,
        ),
        folds=Folds(
            ids=train.ids,
            fold_of_row=new.fold_of_row,
            group_of_row=new.group_of_row,
            count=competition.folds.count,
            digest="simulated-passport",
        ),
        digests={},
    )
    return contest, rest


def train(contest: CompetitionView, model: Model, more: Table | None = None) -> BuiltSubmission:
    """The file of an honest team-mate, and what the model says of rows that it was trained on.

    *more* rows, of nobody else, are added to each training.
    """
    tables, folds, problem = contest.tables, contest.folds, contest.problem
    assert tables.holdout is not None
    truth = contest.truth if problem != "multiclass" else contest.truth[:, 0].astype(int)
    k = len(contest.competition.outputs)
    made = BuiltSubmission({part: np.zeros((len(ids), k)) for part, ids in contest.ids.items()})
    extra = tables.train.rows(np.zeros(0, dtype=int)) if more is None else more
    assert extra.targets is not None
    beside = extra.targets if problem != "multiclass" else extra.targets[:, 0].astype(int)
    for fold in range(folds.count):
        known = folds.training_rows(0, fold)
        texts = np.concatenate([tables.train.texts[known], extra.texts])
        said = model.fitted(texts, np.concatenate([truth[known], beside]), k)
        made.values["train"][~known] = said(tables.train.texts[~known])
        made.values["test"] += said(tables.test.texts) / folds.count
        made.values["holdout"] += said(tables.holdout.texts) / folds.count
    knows_all = model.fitted(tables.train.texts, truth, k)
    made.seen, made.seen_test = knows_all(tables.train.texts), knows_all(tables.test.texts)
    made.folds = folds.fold_of_row[:1].astype(str).astype(object)
    made.target = indicators(contest.truth, k)
    return made


def candidate(contest: CompetitionView, made: BuiltSubmission) -> Candidate:
    """What reading such a file gives."""
    kind: Kind = "values" if contest.problem == "regression" else "probabilities"
    assert made.folds is not None
    return Candidate(
        sources={"mate.csv": "0" * 64},
        kind=kind,
        values=made.values,
        written={"mate.csv": np.concatenate(list(made.values.values()))},
        times={part: np.ones(len(ids), dtype=int) for part, ids in contest.ids.items()},
        unknown=[],
        folds=made.folds,
        labels=None,
        claims=[],
    )


def peer(name: str, made: BuiltSubmission) -> Peer:
    """An honest file as a run that is there already."""
    values = made.values
    return Peer(
        name=name,
        manifest={},
        oof=values["train"],
        test=values["test"],
        holdout=values["holdout"],
    )


if __name__ == "__main__":
    raise SystemExit(main())
