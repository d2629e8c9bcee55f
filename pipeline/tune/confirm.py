"""The best few of a search on all folds beside the default: what was chosen, and what stays.

A search takes the best of many, so the scores it was made by flatter. On the folds that it never
looked at nothing was chosen: there the gain over the default, paired row by row, is honest (Cawley
& Talbot, "On Over-fitting in Model Selection", JMLR 11, 2010). The difference of the two is the
optimism of the search.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.base.errors import DivergedError, UsageError
from pipeline.base.files import commit_bytes, commit_text
from pipeline.ensemble import Gain
from pipeline.ensemble.assessment import as_score
from pipeline.ensemble.decisions.choose import Judge
from pipeline.folds import Folds
from pipeline.metrics import Draws
from pipeline.metrics.metric import judging
from pipeline.models import Recipe
from pipeline.models.recipes import as_values, find
from pipeline.oof.predictions import files_of
from pipeline.training.run import cross_validate
from pipeline.tune.bench import Bench, FoldOf, Outcome
from pipeline.tune.study import Search, Standing


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """One candidate on all folds, beside the default."""

    run: str
    changed: tuple[str, ...]
    """KEY=VALUE, as --set takes them; none for the default."""
    trial: int | None
    score: float
    """Of all out-of-fold rows, pooled."""
    searched: float | None
    """Of the rows of the search's folds alone."""
    others: float | None
    """Of the rows of the folds that the search never saw."""
    searched_gain: Gain
    """Over the default, on the search's folds: chosen among many, so it flatters."""
    gain: Gain
    """Over the default on the other folds: honest."""

    @property
    def optimism(self) -> float:
        """By how much the search's folds flatter."""
        return self.searched_gain.difference - self.gain.difference


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The default first, then the candidates, best first."""

    lines: list[Confirmed]
    winner: Confirmed
    """Best on all folds; the default where nothing beats it."""
    notes: list[str]

    @property
    def default(self) -> Confirmed:
        """What the search started from."""
        return self.lines[0]


def confirm(search: Search, count: int) -> Confirmation:
    """Train the best *count* trials and the default on all folds, and compare them.

    They become complete runs under oof/; folds that the search has trained are taken over.
    """
    bench, default = search.bench, search.space.default
    chosen: list[tuple[Recipe, tuple[str, ...], Standing | None]] = [
        (default, search.space.fixed, None)
    ]
    for each in search.best(count):
        assert each.recipe is not None
        chosen.append((each.recipe, each.overrides, each))
    for recipe, _, _ in chosen:
        for fold in range(search.folds):
            take_over(bench, recipe, fold, search.into)
    notes = _train_all(bench, search, [(recipe, sets) for recipe, sets, _ in chosen])
    kept = [(recipe, trial) for recipe, _, trial in chosen if recipe.name not in notes]
    lines = _compared(bench, search, kept)
    larger = bench.metric.greater_is_better
    best = max(lines, key=lambda line: line.score if larger else -line.score)
    winner = lines[0] if best.score == lines[0].score else best
    return Confirmation(lines=lines, winner=winner, notes=list(notes.values()))


def take_over(bench: Bench, recipe: Recipe, fold: int, into: str) -> None:
    """Copy a fold's predictions from the trials to oof/, and move its weights and logs, where it is
    not there; its manifest last."""
    home, away = bench.paths(), bench.paths(into)
    if home.run_manifest(recipe.name).exists() or bench.finished(recipe, fold) is not None:
        return
    if bench.finished(recipe, fold, into) is None:
        return
    for manifest in bench.parts(recipe, fold, into):
        seed, part = manifest.parent.name, manifest.stem
        origin = away.workspaces / recipe.name / seed / part
        target = home.workspaces / recipe.name / seed / part
        if origin.is_dir():
            _moved(origin, target)
        for file in reversed(files_of(manifest.with_suffix(".npz"))):  # the manifest last
            if file.exists():  # lines only where answers are texts
                commit_bytes(home.run(recipe.name) / seed / file.name, file.read_bytes())


def _moved(origin: Path, target: Path) -> None:
    """The folder *origin* as *target*; what an earlier attempt left there goes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    origin.rename(target)


def _train_all(
    bench: Bench, search: Search, recipes: Sequence[tuple[Recipe, tuple[str, ...]]]
) -> dict[str, str]:
    """Make every recipe a complete run; notes about those that diverged, by run."""
    count = bench.ground.folds.count
    waiting = [
        FoldOf(recipe, search.space.model, sets, fold)
        for recipe, sets in recipes
        for fold in range(count)
        if bench.finished(recipe, fold) is None
    ]
    notes: dict[str, str] = {}
    bench.progress.trainings, total = len(waiting), len(waiting)

    def told(outcome: Outcome) -> None:
        task = outcome.task
        if problem := outcome.diverged or outcome.refused:
            if task.recipe.name == search.space.default.name:
                raise DivergedError(problem) if outcome.diverged else UsageError(problem)
            notes[task.recipe.name] = f"{task.recipe.name} is out: {problem}"
            waiting[:] = [each for each in waiting if each.recipe.name != task.recipe.name]
            return
        done = bench.finished(task.recipe, task.fold) or []
        bench.progress.finished(sum(sum(each["seconds"].values()) for each in done))
        score = ", ".join(f"{each['score']:.4f}" for each in done if each["score"] is not None)
        name = bench.metric.name
        search.say(f"  {task.recipe.name}  fold {task.fold}  {name} {score or 'undefined'}")

    if waiting:
        search.say(
            f"folds that are missing of the best {len(recipes) - 1} and the default: {total}"
        )
    bench.work(lambda: waiting.pop(0) if waiting else None, told)
    for recipe, _ in recipes:
        if recipe.name not in notes:
            job = bench.job(recipe)  # all its folds are there: this writes its run.json
            cross_validate(job, bench.metric, bench.progress.watch, lambda *_: None)
    bench.close()
    return notes


def _compared(
    bench: Bench, search: Search, kept: Sequence[tuple[Recipe, Standing | None]]
) -> list[Confirmed]:
    ground = bench.ground
    folds = ground.folds
    truth = ground.tables.train.in_order(folds.ids).truth
    assert truth is not None
    kind = ground.competition.task.problem_type.predictions
    arrays = READ[kind](bench, [recipe.name for recipe, _ in kept])
    metric, problem = judging(bench.metric), ground.competition.task.problem
    searched = rows_searched(folds, search.folds)
    judges = [
        Judge(metric, problem, truth[rows], Draws.over(folds.group_of_row[rows], seed))
        for rows in (searched, ~searched)
        for seed in [ground.competition.folds.seed]
    ]
    parts = [[oof[rows] for oof in arrays] for rows in (searched, ~searched)]
    lines = []
    for place, (recipe, trial) in enumerate(kept):
        known, new = (part[place] for part in parts)
        lines.append(
            Confirmed(
                run=recipe.name,
                changed=() if trial is None else trial.overrides[len(search.space.fixed) :],
                trial=None if trial is None else trial.number,
                score=metric.score(truth, arrays[place]),
                searched=_score(judges[0], known),
                others=_score(judges[1], new),
                searched_gain=judges[0].gain(known, parts[0][0]),
                gain=judges[1].gain(new, parts[1][0]),
            )
        )
    sign = -1 if metric.greater_is_better else 1
    return [lines[0], *sorted(lines[1:], key=lambda line: sign * line.score)]


def _first_texts(bench: Bench, runs: Sequence[str]) -> list[np.ndarray]:
    """The first candidates of each run, by its first seed and repeat."""
    return [sets[0].best for sets in bench.texts_said(runs)]


READ: dict[str, Callable[[Bench, Sequence[str]], list[np.ndarray]]] = {
    "numbers": Bench.said,
    "texts": _first_texts,
}
"""What predictions are (`Problem.predictions`) -> how runs are read."""


def rows_searched(folds: Folds, count: int) -> np.ndarray:
    """(n,) bool: rows that one of the first *count* folds holds out, in any repeat."""
    return np.asarray((folds.fold_of_row < count).any(axis=0))


def _score(judge: Judge, predicted: np.ndarray) -> float | None:
    return as_score(judge.metric, judge.score(predicted))


# The winner as a recipe file.


def write_recipe(search: Search, winner: Confirmed, source: str) -> tuple[Path, str]:
    """The file of the winner's recipe in configs/models/ of the root, and what was done: it bears
    the name of its run, so that `--model NAME` finds every fold trained.

    A file that is there with other settings is left as it is.
    """
    root = search.bench.ground.root
    best = next(each for each in search.standings() if each.number == winner.trial)
    assert best.recipe is not None
    path = root / "configs" / "models" / f"{winner.run}.yaml"
    if path.exists():
        same = _settings(find(winner.run, root)) == _settings(best.recipe)
        return path, "is there already" if same else (
            "is there with other settings and stays as it is; rename it, and run this again"
        )
    commit_text(path, recipe_text(best.recipe, source))
    assert _settings(find(winner.run, root)) == _settings(best.recipe)
    return path, "written"


def recipe_text(recipe: Recipe, source: str) -> str:
    """The YAML of a recipe: what it does not leave at its kind's default."""
    usual = {each.name: _usual(each) for each in fields(recipe)}
    values = as_values(recipe)
    told = {key: value for key, value in values.items() if value != usual.get(key, MISSING)}
    told = {"learner": recipe.learner} | {
        key: value for key, value in told.items() if key not in ("name", "learner", "source")
    }
    content = told | {"source": source}
    return yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, width=90, default_flow_style=None
    )


def _usual(each: Any) -> Any:
    if each.default is not MISSING:
        return list(each.default) if isinstance(each.default, tuple) else each.default
    return each.default_factory() if each.default_factory is not MISSING else MISSING


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {key: value for key, value in as_values(recipe).items() if key not in ("name", "source")}
