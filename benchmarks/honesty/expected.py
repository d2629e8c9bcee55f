"""Do the ranges of "what the leaderboard will say" hold? Train cut into many train/test worlds.

    python -m pipeline.init ../shared/data/NAME --root ROOT      # and a few quick runs:
    python -m pipeline.cv --root ROOT --config ROOT/configs/NAME.yaml --model linear
    python -m benchmarks.honesty.expected NAME … --root ROOT [--retrained 3] [--write]

A world takes whole groups of the labelled rows as its test part, split at random into a public and
a private half, and expects the three scores from the others alone: weights and decisions are
refitted, and the range is what the command would print. The members' out-of-fold predictions stay
as they are, so a test row is predicted by one learner, as training rows are. With --retrained,
that many worlds more train the linear learner anew on their own rows and folds, and predict their
test part by the mean over folds, as for a real leaderboard.
"""

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.shared.machine import RESULTS, machine_line
from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.base.paths import Paths, Workspace
from pipeline.base.seeding import generator
from pipeline.data.table import Table
from pipeline.data.tables import load
from pipeline.ensemble.decisions.choose import decide_on
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.forecast.ranges import Scored, ranges
from pipeline.ensemble.honest import Nest
from pipeline.ensemble.predictor import Rows
from pipeline.folds.frozen import read_frozen
from pipeline.metrics.metric import Metric, get_metric
from pipeline.models.learner import Silent
from pipeline.models.linear.learner import LinearFactory
from pipeline.models.linear.solver import STANDARD
from pipeline.models.settings import LinearRecipe
from pipeline.oof.members import read_members
from pipeline.oof.predictions import complete_runs
from pipeline.problems.form import Form

PAGE = RESULTS / "expected.md"
SHARE = 0.2  # of the rows, in the test part of a world
METHOD = {"regression": "simplex"}  # weights are fitted; "mean" elsewhere, where they cost more
PARTS = ("whole", "public", "private")


@dataclass(frozen=True)
class Case:
    """A competition and its labelled rows, in the order of the frozen folds."""

    competition: Competition
    metric: Metric
    form: Form
    train: Table
    fold_of_row: np.ndarray
    group_of_row: np.ndarray
    oof: list[np.ndarray]


def main() -> int:
    """Measure every competition; print the table, and keep it with --write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--root", type=Path, required=True, help="where configs/ and oof/ lie")
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--retrained", type=int, default=0, metavar="N", help="worlds more")
    parser.add_argument("--write", action="store_true", help=f"keep the lines in {PAGE.name}")
    args = parser.parse_args()
    lines = []
    for name in args.names:
        case = read(args.root, name)
        if args.worlds:
            found = [world(case, seed) for seed in range(args.worlds)]
            lines.append(line(name, case, found, False))
        if args.retrained:
            found = [retrained(case, seed) for seed in range(args.retrained)]
            lines.append(line(name, case, found, True))
        print("\n".join(lines), flush=True)
    if args.write:
        keep(lines)
    return 0


def read(root: Path, name: str) -> Case:
    """A competition with its complete runs."""
    competition = read_section(Competition, root / "configs" / f"{name}.yaml")
    paths, tables = Paths(root, name), load(competition, root)
    folds = read_frozen(competition, paths, tables.train)
    metric = get_metric(competition.task.metric, competition.task, root)
    none = tables.test.ids[:0] if tables.holdout is None else tables.holdout.ids
    runs = complete_runs(paths.runs)
    members = read_members(paths, runs, folds, competition.outputs, tables.test.ids, none)
    return Case(
        competition,
        metric,
        competition.task.problem_type.form(
            competition.task, competition.columns.targets, metric.needs, tables.sample
        ),
        tables.train.in_order(folds.ids),
        folds.fold_of_row[0],
        folds.group_of_row,
        members.oof,
    )


@dataclass(frozen=True)
class World:
    """What was expected of one world's test part, and what came."""

    inside: dict[str, bool]
    width: dict[str, float]
    above: float
    """Test score minus expected score, turned so that above 0 is better; of the whole."""


def world(case: Case, seed: int) -> World:
    """Members stay as they are; weights, decisions and the range are made without the test part."""
    test = cut(case.group_of_row, generator(seed, "expected-world"))
    members = [each[test] for each in case.oof]
    return judged(case, ~test, [each[~test] for each in case.oof], members, case.fold_of_row, seed)


def cut(group_of_row: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n,) bool: whole groups, in random order, until they are SHARE of the rows."""
    _, number = np.unique(group_of_row, return_inverse=True)
    sizes = np.bincount(number)
    order = random.permutation(len(sizes))
    taken = order[np.cumsum(sizes[order]) <= SHARE * len(number)]
    return np.isin(number, taken)


def judged(
    case: Case,
    known: np.ndarray,
    oof: list[np.ndarray],
    members: list[np.ndarray],
    fold_of_row: np.ndarray,
    seed: int,
) -> World:
    """Expect from the *known* rows, score on the others, predicted by *members*."""
    task, targets = case.competition.task, case.train.targets
    assert targets is not None
    groups, truth = case.group_of_row[known], targets[known]
    names = [f"m{place}" for place in range(len(oof))]
    evidence = Evidence.gather(
        names, oof, truth, fold_of_row[known], groups, case.metric, task.problem
    )
    method = "best" if len(oof) == 1 else METHOD.get(task.problem, "mean")
    nest, limits = Nest(evidence, seed), (float(truth.min()), float(truth.max()))
    decided = decide_on(case.competition, case.metric, nest, method, case.form, limits)
    scored = Scored(case.metric, task.problem, truth, decided.predicted, groups)
    blend = nest.fit(method, evidence.folds)
    predicted = decided.apply(blend.predict(Rows(members), task.problem))
    hidden = targets[~known]
    public = generator(seed, "expected-public").permutation(len(hidden)) < len(hidden) // 2
    rows = {"whole": np.ones(len(hidden), dtype=bool), "public": public, "private": ~public}
    sizes = {name: int(mask.sum()) for name, mask in rows.items()}
    found = ranges(scored, decided.gain, sizes, seed)
    scores = {name: case.metric.score(hidden[mask], predicted[mask]) for name, mask in rows.items()}
    sign = 1 if case.metric.greater_is_better else -1
    return World(
        {name: found[name].low <= scores[name] <= found[name].high for name in PARTS},
        {name: found[name].high - found[name].low for name in PARTS},
        sign * (scores["whole"] - found["whole"].score),
    )


def retrained(case: Case, seed: int) -> World:
    """The linear learner trained anew on five folds of the known rows; test by their mean."""
    random = generator(seed, "expected-retrained")
    test = cut(case.group_of_row, random)
    _, number = np.unique(case.group_of_row, return_inverse=True)
    fold_of_row = (random.permutation(int(number.max()) + 1) % 5)[number]
    task = case.competition.task
    grid = STANDARD["sigmoid" if task.problem in ("binary", "multilabel") else "squared"]
    recipe = LinearRecipe(
        strengths=[grid[len(grid) // 2]]
    )  # tuning it would take ten times as long
    factory = LinearFactory(recipe, task, len(case.competition.outputs))
    oof = np.full((len(test), len(case.competition.outputs)), np.nan)
    hidden, ours = case.train.rows(test), []
    for fold in range(5):
        learner, asked = factory.make(seed), ~test & (fold_of_row == fold)
        learner.fit(case.train.rows(~test & ~asked), Workspace(folder=Path()), Silent())
        oof[asked] = learner.predict(case.train.rows(asked), Silent())
        ours.append(learner.predict(hidden, Silent()))
    return judged(case, ~test, [oof[~test]], [np.mean(ours, axis=0)], fold_of_row, seed)


def line(name: str, case: Case, worlds: list[World], anew: bool) -> str:
    """The table's line: how often the ranges held, with the binomial standard error."""
    cells = []
    for part in PARTS:
        share = float(np.mean([each.inside[part] for each in worlds]))
        error = math.sqrt(max(share * (1 - share), 0.09 if anew else 0) / len(worlds))
        width = float(np.median([each.width[part] for each in worlds]))
        cells.append(f"{100 * share:.0f} ± {100 * error:.0f} % ({width:.4f})")
    above = [each.above for each in worlds]
    bias = f"{np.mean(above):+.5f} ± {np.std(above) / math.sqrt(len(worlds)):.5f}"
    rows = f"{len(case.train):,}"
    how = "trained anew" if anew else f"{len(case.oof)} members"
    columns = [f"{name}, {how}", case.metric.name, rows, str(len(worlds)), *cells, bias]
    return f"| {' | '.join(columns)} |"


def keep(lines: list[str]) -> None:
    """Write the page; lines of other competitions that stand in it already are kept."""
    old = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    table = {key(each): each for each in [*old, *lines] if re.match(r"\| \S+, ", each)}
    page = [
        "# What the leaderboard will say: do the 90 % ranges hold?",
        "",
        f"`python -m benchmarks.honesty.expected NAME … --write`. {machine_line('scikit-learn')}",
        "",
        f"Train is cut into worlds: {100 * SHARE:.0f} % of the rows, whole groups, are the test "
        "part, half of it public. *Held*: how often the score lay in the range that the other rows "
        "gave, ± its binomial standard error, and the median width of the range. *Test minus "
        "expected*: mean over worlds ± standard error, above 0 where test scores better.",
        "",
        "*Members*: their out-of-fold predictions stay, weights and decisions are refitted in each "
        "world. *Trained anew*: the linear learner, its strength fixed, is trained on five folds "
        "of the world's own rows, and the test part is predicted by the mean over folds, as for a "
        "real leaderboard. "
        "The worlds of one competition share its rows, so they vary less than new data would.",
        "",
        "| competition | metric | rows | worlds | whole held (width) | public | private "
        "| test minus expected |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *table.values(),
    ]
    PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")


def key(each: str) -> str:
    """What a line is about."""
    return each.split("|")[1]


if __name__ == "__main__":
    raise SystemExit(main())
