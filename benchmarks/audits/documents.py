"""The audit of `pipeline.team add` where files hold tags or texts: false alarms, and leaks seen.

    python -m pipeline.init ../shared/data/NAME --root ROOT
    python -m benchmarks.audits.documents NAME … --root ROOT [--rows 160] [--worlds 4] [--write]

A world is cut as those of numbers are (`benchmarks.audits`), of whole documents, with three folds.
Our own learners are trained on them, and once on all rows: each honest file is audited beside the
others, then with what the learner of all rows says in place of its own, with holdout rows and
without. What was trained stays in ROOT/audits: asked again the command only audits.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.machine import keep, machine_line
from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.base.paths import Workspace
from pipeline.base.seeding import generator
from pipeline.data.candidates import Candidates
from pipeline.data.tables import Tables, load
from pipeline.data.units import documents
from pipeline.folds.frozen import Folds, new_folds
from pipeline.metrics.metric import metric_of
from pipeline.models.learner import Silent
from pipeline.models.recipes import find
from pipeline.team.audit import Audit, audit
from pipeline.team.candidate import Candidate
from pipeline.team.candidate_view import CandidateView
from pipeline.team.competition import PARTS, CompetitionView, Peer
from pipeline.training.jobs import make_factory
from pipeline.training.options import FailurePolicy

FOLDS, FEWEST_OF_TEST = 3, 60
HALF = (
    *("width=64", "feed_forward=128", "learning_rate=0.002", "max_answer=72"),
    *("decode=greedy", "candidates=1", "predict_batch_size=512"),
)
"""A network that is trained in a third of the time."""
MODELS: dict[str, dict[str, tuple[str, ...]]] = {
    "tags": {
        "crf": ("crf", "iterations=25"),
        "crf, 1 unit": ("crf", "window=1", "iterations=25"),
        "crf, 1-grams": ("crf", "ngrams=1", "window=3", "iterations=25"),
        "crf, by heart": ("crf", "l2=0.001", "iterations=80"),
    },
    "text": {
        "nearest": ("nearest",),
        "nearest, letters": ("nearest", "char_ngrams=[1, 2]", "word_ngrams=[1, 1]"),
        "nearest, 1 input": ("nearest", "inputs=1"),
        "tiny-seq2seq, 5 epochs": ("tiny-seq2seq", "epochs=5", "decode=greedy", "candidates=1"),
        "half as wide, 14 epochs": ("tiny-seq2seq", "epochs=14", *HALF),
        "half as wide, 30 epochs": ("tiny-seq2seq", "epochs=30", *HALF),
    },
}
"""Problem -> learners, by what the page calls them: a recipe and its settings."""
NETWORKS = ("tiny-seq2seq",)


@dataclass
class Made:
    """What one model says: (rows, k) of tags, (rows,) texts."""

    values: dict[str, np.ndarray]
    """By part; of training rows each by the learner without its fold."""
    seen: dict[str, np.ndarray]
    """Of train and test by the learner of all training rows."""
    logs: "Made | None" = None
    """Of texts their log-probabilities, likewise."""

    def save(self, path: Path) -> None:
        """As arrays; texts as they are."""
        arrays = self.arrays()
        if self.logs is not None:
            arrays |= {f"log_{name}": each for name, each in self.logs.arrays().items()}
        plain = {
            n: each.astype(str) if each.dtype == object else each for n, each in arrays.items()
        }
        np.savez_compressed(path, allow_pickle=False, **plain)

    def arrays(self) -> dict[str, np.ndarray]:
        """All, by name."""
        return self.values | {f"seen_{part}": each for part, each in self.seen.items()}

    @classmethod
    def load(cls, path: Path) -> "Made":
        """What `save` wrote."""
        with np.load(path) as found:
            arrays = {
                name: found[name].astype(object) if found[name].dtype.kind == "U" else found[name]
                for name in found.files
            }
        logs = {name[4:]: each for name, each in arrays.items() if name.startswith("log_")}
        return cls(*_parted(arrays), cls(*_parted(logs)) if logs else None)


def _parted(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    seen = {name[5:]: each for name, each in arrays.items() if name.startswith("seen_")}
    return {part: arrays[part] for part in PARTS}, seen


def _one_fold(made: Made, held_out: np.ndarray) -> dict[str, np.ndarray]:
    train = made.values["train"].copy()
    train[held_out] = made.seen["train"][held_out]
    return made.values | {"train": train}


FILES: dict[str, Callable[[Made, np.ndarray], dict[str, np.ndarray]]] = {
    "honest": lambda made, held_out: made.values,
    "trained on the rows of one fold": _one_fold,
    "trained on all rows": lambda made, held_out: made.values | {"train": made.seen["train"]},
    "trained on all rows, test by that model, too": lambda made, held_out: made.values | made.seen,
}
"""What a file holds, by the page's name, given the rows of the first fold."""


@dataclass(frozen=True)
class Line:
    """One file that was audited."""

    name: str
    model: str
    what: str
    holdout: bool
    verdict: str
    score: float
    honest: float
    accused: tuple[str, ...]


def main() -> int:
    """Audit, print the page, and keep it with --write."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.audits.documents", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="+")
    parser.add_argument("--root", type=Path, required=True, help="where configs/ lie")
    parser.add_argument("--worlds", type=int, default=4, help="of each competition")
    parser.add_argument("--networks", type=int, default=1, help="worlds with networks, too")
    parser.add_argument("--rows", type=int, default=160, help="documents of train, in a world")
    parser.add_argument("--show", action="store_true", help="print what was said of each file")
    parser.add_argument("--write", action="store_true", help="keep the page")
    args = parser.parse_args()
    (args.root / "audits").mkdir(exist_ok=True)
    lines: list[Line] = []
    for seed in range(args.worlds):
        for name in args.names:
            lines += world(args.root, name, seed, args.rows, networks=seed < args.networks)
    if args.show:
        for line in lines:
            print(line)
    text = page(lines, args.rows, args.worlds)
    print(text)
    if args.write:
        keep("audits-documents", text)
    return 0


def world(root: Path, name: str, seed: int, rows: int, networks: bool) -> list[Line]:
    """All files of one world, those of *networks*, which take minutes, too."""
    random = generator(seed, f"audits of {name} with {rows} documents")
    contest = cut(root, name, random, rows)
    made = {}
    for model, recipe in MODELS[contest.problem].items():
        if recipe[0] in NETWORKS and not networks:
            continue
        path = root / "audits" / f"documents-{name}-{rows}-{seed}-{model}.npz"
        if not path.exists():
            print(f"{name}, world {seed}: {model}", file=sys.stderr, flush=True)
            train(contest, recipe, seed).save(path)
        made[model] = Made.load(path)
    held_out = contest.folds.valid_rows(0, 0)
    truth, score = contest.truth, contest.metric.score
    lines = []
    for model, own in made.items():
        others = [peer_of(each, made[each].values) for each in made if each != model][-3:]
        for what, file in FILES.items():
            values = file(own, held_out)
            logs = None if own.logs is None else file(own.logs, held_out)
            for holdout in (True, False):
                found = looked_at(contest, values, others, holdout, logs)
                accused = tuple(
                    f"{each.check} ({each.grade}): {each.says}"
                    for each in found.findings
                    if each.grade != "ok"
                )
                known = [float(score(truth, each["train"])) for each in (values, own.values)]
                lines.append(
                    Line(name, model, what, holdout, found.verdict, known[0], known[1], accused)
                )
    return lines


def cut(root: Path, name: str, random: np.random.Generator, rows: int) -> CompetitionView:
    """A competition of so many documents, with folds of its own."""
    competition = read_section(Competition, root / "configs" / f"{name}.yaml")
    competition = replace(competition, folds=replace(competition.folds, count=FOLDS))
    whole = load(competition, root)
    number = np.arange(len(whole.train))
    if whole.train.units is not None:
        number = whole.train.units.number
    place = random.permutation(int(number.max()) + 1)[number]
    edges = np.cumsum([0, rows, max(rows // 2, FEWEST_OF_TEST), rows // 4])
    parts = {
        part: whole.train.rows((place >= low) & (place < high))
        for part, low, high in zip(PARTS, edges[:-1], edges[1:], strict=True)
    }
    held = documents(parts["train"], competition.task)
    new = new_folds(competition, held, root)
    folds = Folds(
        ids=held.ids,
        fold_of_row=new.fold_of_row,
        group_of_row=new.group_of_row,
        count=FOLDS,
        digest="0" * 64,
    ).of_units(parts["train"])
    tables = Tables(
        train=parts["train"],
        test=parts["test"],
        holdout=parts["holdout"],
        extra=None,
        sample=whole.sample,
    )
    return CompetitionView(competition, metric_of(competition, root), tables, folds, {})


def train(contest: CompetitionView, recipe: Sequence[str], seed: int) -> Made:
    """The file of an honest team-mate, and what the model says once it was trained on all rows."""
    tables, folds = contest.tables, contest.folds
    assert tables.holdout is not None
    bare = {
        part: replace(table, targets=None, references=None)
        for part, table in zip(PARTS, (tables.train, tables.test, tables.holdout), strict=True)
    }
    factory = make_factory(
        find(recipe[0], Path(), recipe[1:]), contest.competition, FailurePolicy()
    )
    factory.prepare([*bare.values()], Silent())

    def learned(rows: np.ndarray) -> dict[str, Any]:
        learner = factory.make(seed)
        with tempfile.TemporaryDirectory() as folder:
            learner.fit(tables.train.rows(rows), Workspace(Path(folder)), Silent())
        return {part: learner.predict(table, Silent()) for part, table in bare.items()}

    apart = [learned(folds.training_rows(0, fold)) for fold in range(folds.count)]
    together = learned(np.ones(len(tables.train), dtype=bool))
    factory.close()
    held_out = [folds.valid_rows(0, fold) for fold in range(folds.count)]
    made = made_of(apart, together, held_out, _best)
    if contest.kind.predictions == "texts":
        made.logs = made_of(apart, together, held_out, log_of)
    return made


def made_of(
    apart: Sequence[dict[str, Any]],
    together: dict[str, Any],
    held_out: Sequence[np.ndarray],
    taken: Callable[[Any], np.ndarray],
) -> Made:
    """What is *taken* of predictions by the folds' learners, and by the one of all rows."""
    parts = {part: [taken(each[part]) for each in apart] for part in PARTS}
    own = parts["train"][0].copy()
    for each, rows in zip(parts["train"], held_out, strict=True):
        own[rows] = each[rows]
    values = {"train": own} | {part: _mean(parts[part], apart[0][part]) for part in PARTS[1:]}
    return Made(values, {part: taken(together[part]) for part in ("train", "test")})


def _best(predicted: Any) -> np.ndarray:
    return np.asarray(predicted.best if isinstance(predicted, Candidates) else predicted)


def log_of(predicted: Candidates) -> np.ndarray:
    """(n,) the log-probability of the first candidate of each row."""
    return np.array([logs[0] for logs in predicted.log_probabilities])


def _mean(learners: list[np.ndarray], predicted: Any) -> np.ndarray:
    """Of tags; of texts what the first learner says."""
    return learners[0] if isinstance(predicted, Candidates) else np.mean(learners, axis=0)


def peer_of(name: str, values: dict[str, np.ndarray]) -> Peer:
    """An honest file as a run that is there already."""
    oof, test, holdout = (values[part] for part in PARTS)
    return Peer(name=name, manifest={}, oof=oof, test=test, holdout=holdout)


def looked_at(
    contest: CompetitionView,
    values: dict[str, np.ndarray],
    others: list[Peer],
    holdout: bool,
    logs: dict[str, np.ndarray] | None = None,
) -> Audit:
    """The audit of one file beside *others*, with its *holdout* rows or where there are none."""
    if not holdout:
        contest = replace(contest, tables=replace(contest.tables, holdout=None))
        values = values | {"holdout": values["holdout"][:0]}
        others = [replace(each, holdout=each.holdout[:0]) for each in others]
    said: dict[str, np.ndarray] = {}
    numbers = (
        {part: np.asarray(each, dtype=float) for part, each in values.items()}
        if (contest.kind.predictions == "numbers")
        else {part: np.ones((len(each), 1)) for part, each in values.items()}
    )
    if contest.kind.predictions == "texts":
        for part, each in values.items():
            said[part] = np.full(len(each), None, dtype=object)
            known = np.full(len(each), np.nan) if logs is None else logs[part][: len(each)]
            pairs = zip(each.tolist(), known.tolist(), strict=True)
            said[part][:] = [([text], [log]) for text, log in pairs]
    candidate = Candidate(
        sources={"mate.csv": "0" * 64},
        kind="texts" if said else "probabilities",
        values=numbers,
        written={"mate.csv": np.concatenate(list(numbers.values()))},
        times={part: np.ones(len(each), dtype=int) for part, each in numbers.items()},
        unknown=[],
        folds=contest.folds.fold_of_row[:1].astype(str).astype(object),
        labels=None,
        claims=[],
        said=said,
    )
    return audit(CandidateView(candidate, contest, others))


def page(lines: Sequence[Line], rows: int, worlds: int) -> str:
    """Everything in Markdown."""
    names = list(dict.fromkeys(line.name for line in lines))
    return "\n".join(
        [
            "# The audit of a team-mate's tags and texts: false alarms, and leaks seen",
            "",
            f"`python -m benchmarks.audits.documents {' '.join(names)} --root ROOT --rows {rows} "
            f"--worlds {worlds} --write`. {machine_line('scikit-learn')}",
            "",
            f"Worlds of {rows} documents, {max(rows // 2, FEWEST_OF_TEST)} of test and {rows // 4} "
            f"of holdout, {FOLDS} folds, cut from the train files of practice competitions: "
            f"{worlds} of each. Each model's file stands beside those of three others. *kept out*: "
            "unproven or out, so in no honest score; *score*: the mean over worlds.",
            "",
            *_table(lines, names),
            "",
            "By check, audits that keep a file out, with holdout rows and without:",
            "",
            *_checks(lines),
        ]
    )


def _table(lines: Sequence[Line], names: Sequence[str]) -> Iterator[str]:
    yield "| competition | model | file | files | score | kept out | without holdout | warned |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name in names:
        for model in dict.fromkeys(line.model for line in lines if line.name == name):
            for what in FILES:
                own = [
                    line
                    for line in lines
                    if (line.name, line.model, line.what) == (name, model, what)
                ]
                if not own:
                    continue
                here = [[line for line in own if line.holdout == each] for each in (True, False)]
                out = [sum(line.verdict != "in" for line in each) for each in here]
                warned = sum(line.verdict == "in" and bool(line.accused) for line in here[1])
                score = np.mean([line.score for line in here[0]])
                yield (
                    f"| {name} | {model} | {what} | {len(here[0])} | {score:.3f} | {out[0]} | "
                    f"{out[1]} | {warned} |"
                )


def _checks(lines: Sequence[Line]) -> Iterator[str]:
    yield "| check | honest files | files that have seen labels |"
    yield "| --- | --- | --- |"
    found: dict[str, list[int]] = {}
    for line in lines:
        for check in {each.split(" (")[0] for each in line.accused if "(warning)" not in each}:
            found.setdefault(check, [0, 0])[line.what != "honest"] += 1
    for check, (honest, leaking) in sorted(found.items()):
        yield f"| {check} | {honest} | {leaking} |"
    total = [sum((line.what == "honest") == kind for line in lines) for kind in (True, False)]
    yield f"| audits in all | {total[0]} | {total[1]} |"


if __name__ == "__main__":
    raise SystemExit(main())
