"""How often does the audit of `pipeline.team add` accuse an honest file; which faults does it see?

    python -m pipeline.init ../shared/data/NAME --root ROOT
    python -m benchmarks.audits NAME … --root ROOT [--rows 120 240 500 1000] [--worlds 4] [--write]

A world takes rows of a competition's train file, whole groups, and cuts them into train, test and
holdout with folds of its own. Four models of different kinds (models.py) are trained on
these folds, none of which sees a row that it predicts. Each is a team-mate's file in turn: audited
alone, and beside the other three; two more that repeat what they have seen stand beside three of
them. Stronger honest files are one that was trained on three times as many rows, the means of three
and of five models beside one, and, where texts are English pairs, ridge on the vectors of minilm
beside n-grams. Then every model is trained on what it must not see, and one is spoiled in every
further way of faults.py. Last, honest learners and leaking ones answer the challenge.

Trained files stay in ROOT/audits: the command may be stopped, and asked again it only audits.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from benchmarks.audits import models as models_file
from benchmarks.audits.answers import LEARNERS, answered
from benchmarks.audits.faults import FAULTS, LEAKS, BuiltSubmission
from benchmarks.audits.models import AnyModel, learners_by_heart, sentences, some_models
from benchmarks.audits.page import HONEST, STRONGER, Line, page
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
from pipeline.team.competition import PARTS, CompetitionView, Peer

MORE = 2  # times as many rows as a world has, for the stronger model
FEWEST_OF_TEST = 60


def main() -> int:
    """Audit, print the page, and keep it with --write."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.audits", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="+")
    parser.add_argument("--root", type=Path, required=True, help="where configs/ lie")
    parser.add_argument("--worlds", type=int, default=4, help="of each competition and size")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000], help="of train, in a world")
    parser.add_argument("--show", action="store_true", help="print what was said of honest files")
    parser.add_argument("--write", action="store_true", help="keep the page")
    args = parser.parse_args()
    (args.root / "audits").mkdir(exist_ok=True)
    jobs = [
        (name, seed, rows)
        for seed in range(args.first, args.first + args.worlds)
        for name in args.names
        for rows in args.rows
    ]
    found = Parallel(n_jobs=args.workers)(delayed(world)(args.root, *job) for job in jobs)
    lines = [line for each in found for line in each]
    if args.show:
        print("\n".join(shown(lines)))
    text = page(found, args.worlds, args.first)
    print(text)
    if args.write:
        keep("audits", text)
    return 0


def shown(lines: list[Line]) -> Iterator[str]:
    """Every accusation of an honest file, and every leak that removes much and was not seen."""
    for line in lines:
        told = f"{line.name}, {line.rows} rows, {line.model}, {line.what}"
        if line.what in (*HONEST, *STRONGER):
            for check, grade, says in line.accused:
                yield f"{told}: {grade}, {check}: {says}"
        elif line.what in LEAKS and line.removed >= 0.5 and line.verdict == "in":
            yield f"{told}: unseen, removes {line.removed:.2f}, honest {line.honest:.2f}"


def cuts(rows: int) -> dict[str, int]:
    """How many rows of train, test and holdout a world has."""
    return {"train": rows, "test": max(rows // 2, FEWEST_OF_TEST), "holdout": rows // 4}


def world(root: Path, name: str, seed: int, rows: int) -> list[Line]:
    """All files of one world."""
    random = generator(seed, f"audits of {name} with {rows} rows")
    contest, rest = cut(root, name, random, cuts(rows))
    problem, sides = contest.problem, contest.tables.train.texts.shape[1]
    first: list[AnyModel] = [*some_models(problem, sides, random)]
    more: list[AnyModel] = [*learners_by_heart(problem, random)]
    if sides == 2 and problem == "regression" and name.endswith("-en"):
        whole = read(root, name)[1].train
        more += sentences(whole.texts, root / "audits" / f"{name}-minilm.npz", random)
    digest = hashlib.sha256(Path(models_file.__file__).read_bytes()).hexdigest()[:8]
    start = root / "audits" / f"{digest}-{name}-{rows}-{seed}"

    def made_by(model: AnyModel, extra: Table | None = None) -> BuiltSubmission:
        path = start.with_name(f"{start.name}-{model.name}{'-more' * (extra is not None)}.npz")
        if not path.exists():
            train(contest, model, extra).save(path)
        return known(contest, BuiltSubmission.load(path))

    made = {model.name: made_by(model) for model in (*first, *more)}
    peers = {name: peer(name, each) for name, each in made.items()}
    beside = {own: [peers[each.name] for each in first if each.name != own][:3] for own in made}
    lines = []

    def told(what: str, model: str, file: BuiltSubmission, others: list[Peer]) -> None:
        honest = removed(made.get(model, file), others)
        lines.append(line(name, rows, what, model, contest, file, others, honest))

    for own, file in made.items():
        told(HONEST[0], own, file, [])
        told(HONEST[1], own, file, beside[own])
        for what, leak in LEAKS.items():
            leaking = leak(file.copy(), contest, beside[own], random)
            assert leaking is not None
            told(what, own, leaking, beside[own])
    for model in (first[-1], *more[2:]):
        told(STRONGER[0], model.name, made_by(model, rest), beside[model.name])
    strongest = list(made)[1:]
    for what, many in ((STRONGER[1], strongest[:3]), (STRONGER[2], strongest[:5])):
        told(what, "mean", mean_of([made[each] for each in many]), [peers[first[0].name]])
    for model in more[2:]:
        told(STRONGER[3], model.name, made[model.name], beside[model.name])
        told(STRONGER[4], model.name, made[model.name], beside[model.name][:1])
    own = str(random.choice([each.name for each in first]))
    for what, spoil in FAULTS.items():
        spoiled = None if what in LEAKS else spoil(made[own].copy(), contest, beside[own], random)
        if spoiled is not None:
            told(what, own, spoiled, beside[own])
    for own, file in made.items():
        for what, learners in LEARNERS.items():
            verdict = answered(contest, own, learners(file, contest))
            lines.append(Line(name, rows, what, own, verdict, (), 0.0, 0.0))
    print(f"{name}, {rows} rows, world {seed}: {len(lines)} files", file=sys.stderr, flush=True)
    return lines


def mean_of(files: list[BuiltSubmission]) -> BuiltSubmission:
    """The plain mean of honest files."""
    mean = files[0].copy()
    for part in PARTS:
        mean.values[part] = np.mean([each.values[part] for each in files], axis=0)
    return mean


def line(
    name: str,
    rows: int,
    what: str,
    model: str,
    contest: CompetitionView,
    made: BuiltSubmission,
    peers: list[Peer],
    honest: float,
) -> Line:
    """What is kept of the audit of a file."""
    found = looked_at(contest, made, peers)
    accused = [(f.check, f.grade, f.says) for f in found.findings if f.grade != "ok"]
    gain = removed(made, peers)
    return Line(name, rows, what, model, found.verdict, tuple(accused), gain, honest)


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


@lru_cache
def read(root: Path, name: str) -> tuple[Competition, Tables, np.ndarray]:
    """A competition, its tables, and the groups of its training rows."""
    competition = read_section(Competition, root / "configs" / f"{name}.yaml")
    whole = load(competition, root)
    return competition, whole, new_folds(competition, whole.train, root).group_of_row


def cut(
    root: Path, name: str, random: np.random.Generator, rows: Mapping[str, int]
) -> tuple[CompetitionView, Table]:
    """A competition of so many rows, with folds that are frozen as those of any; and more rows."""
    competition, whole, groups = read(root, name)
    sizes = np.bincount(groups)
    order = random.permutation(len(sizes))
    order = order[sizes[order] <= min(rows.values())]  # a larger one would swallow a part
    place = np.zeros(len(sizes), dtype=int)
    place[order] = np.cumsum(sizes[order])  # where a group ends, groups in a row; 0: left out
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
            digest=hashlib.sha256(train.ids.tobytes()).hexdigest(),
        ),
        digests={},
    )
    return contest, rest


def train(contest: CompetitionView, model: AnyModel, more: Table | None = None) -> BuiltSubmission:
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
    taught: list[np.ndarray] = []
    for fold in range(folds.count):
        known = folds.training_rows(0, fold)
        texts = np.concatenate([tables.train.texts[known], extra.texts])
        said = model.fitted(texts, np.concatenate([truth[known], beside]), k)
        taught.append(said(tables.train.texts))
        made.values["train"][~known] = taught[-1][~known]
        made.values["test"] += said(tables.test.texts) / folds.count
        made.values["holdout"] += said(tables.holdout.texts) / folds.count
    knows_all = model.fitted(tables.train.texts, truth, k)
    made.seen, made.seen_test = knows_all(tables.train.texts), knows_all(tables.test.texts)
    made.taught = np.stack(taught)
    return made


def known(contest: CompetitionView, made: BuiltSubmission) -> BuiltSubmission:
    """The file with what its world knows of it."""
    made.folds = contest.folds.fold_of_row[:1].astype(str).astype(object)
    made.target = indicators(contest.truth, made.oof.shape[1])
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
