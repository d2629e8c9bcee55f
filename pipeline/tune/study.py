"""An Optuna study whose trials are recipes on some of the frozen folds.

A trial's folds are trained one after the other, and after each it may be ended: where the mean over
its folds is worse than the median of what the other trials had on the same folds (the median
stopping rule of Golovin et al., "Google Vizier", KDD 2017, section 3.2.2; folds are of unequal
difficulty, so only the same ones are compared). The study lies in SQLite, predictions beside it: a
search that was killed goes on with them, and a finished fold is not trained twice. What is drawn
for a trial depends on the seed, its number and the trials before it, so that a search by one
process comes to the same trials wherever it was killed.
"""

import hashlib
import json
import math
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.base import UsageError
from pipeline.base.errors import DivergedError
from pipeline.base.fault_injection import reach
from pipeline.base.paths import STUDIES, TUNE, safe_name
from pipeline.base.seeding import derive_seed
from pipeline.models import Recipe
from pipeline.models.recipes import as_values
from pipeline.oof.manifest import HARMLESS
from pipeline.training.progress import clock_text
from pipeline.tune.bench import Bench, FoldOf, Outcome
from pipeline.tune.space import Space

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner

FEWEST = 4
"""Other trials that must have come as far before one is ended."""
REPEATS = 20
"""Settings in a row that were tried before: then the space holds no others."""
INSTALL = (
    'pip install "foldstack[tune]", or in a checkout: pip install -e ".[tune]" -c constraints.txt'
)


def optuna() -> Any:
    """The library; UsageError with the line that installs it where it is not there."""
    try:
        import optuna as library
    except ImportError as error:
        raise UsageError(f"pipeline.tune needs Optuna ({error}). Install it: {INSTALL}") from None
    library.logging.set_verbosity(library.logging.WARNING)
    return library


def folder_of(ground_settings: Mapping[str, Any], competition: str) -> str:
    """The folder of the root for trials on these rows, labels and folds: others than the recipe's
    settings of a job are in its name, so that all trials in it go together."""
    shared = {key: value for key, value in ground_settings.items() if key != "recipe"}
    shared["task"] = {
        key: value for key, value in shared["task"].items() if f"task.{key}" not in HARMLESS
    }
    return f"runs/{TUNE}/{safe_name(competition)}-{_digest(shared)}"


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(kw_only=True)
class Standing:
    """One trial, as it stands."""

    number: int
    recipe: Recipe | None
    """None where its settings do not go together."""
    overrides: tuple[str, ...]
    state: str
    """running, complete, pruned, failed."""
    score: float | None
    """Mean over its folds so far."""


@dataclass(kw_only=True)
class Search:
    """Says which fold of which trial comes next, and keeps the study."""

    bench: Bench
    space: Space
    folds: int
    """The search's: those from 0 on."""
    trials: int
    keep: int
    """Trials whose weights are kept, the best."""
    prune: bool
    into: str
    """The folder of trials below the root."""
    say: Callable[[str], None]
    study: "Study" = field(init=False)
    busy: set[tuple[str, int]] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    exhausted: bool = False
    """Nothing but settings that were tried before is drawn any more."""
    ended: int = 0
    """Trials that ended in this process."""

    def __post_init__(self) -> None:
        library = optuna()
        larger = self.bench.metric.greater_is_better
        path = self.bench.ground.root / self.into / STUDIES
        path.parent.mkdir(parents=True, exist_ok=True)
        self.storage = f"sqlite:///{path}"
        about = [as_values(self.space.default), self.bench.metric.name, self.folds, self.bench.seed]
        searched = {key: vars(each) for key, each in self.space.settings.items()}
        self.study = library.create_study(
            storage=self.storage,
            study_name=f"{self.space.default.name}-{_digest([*about, searched])}",
            direction="maximize" if larger else "minimize",
            load_if_exists=True,
            pruner=same_folds() if self.prune else library.pruners.NopPruner(),
        )
        default = self.space.default_params()
        if default is not None and not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(default, skip_if_exists=True)

    # What comes next.

    def ask(self) -> FoldOf | None:
        """The next fold: of the default, of a trial that was begun, of a new one."""
        for fold in range(self.folds):  # what everything is held against
            if self.finished(self.space.default, fold) is None:
                if (wanted := self._wanted(self.space.default, (), fold)) is not None:
                    return wanted
                break
        for trial in self._running():
            if (wanted := self._next_of(trial)) is not None:
                return wanted
        repeated, before = 0, self.begun
        while not self.exhausted and self.begun < self.trials:
            trial = self._new()
            reach("trial")
            if (wanted := self._next_of(trial)) is not None:
                return wanted
            repeated, before = (repeated + 1 if self.begun == before else 0), self.begun
            if repeated == REPEATS:
                self.exhausted = True
                self.say(f"the space holds no further settings: {before} were tried")
        return None

    @property
    def begun(self) -> int:
        """How many different settings there are trials of; two trials of the same are one."""
        return len({json.dumps(each.params) for each in self._all() if each.params})

    def _all(self) -> Any:
        return self.study.get_trials(deepcopy=False)

    def _running(self) -> "list[Trial]":
        library = optuna()
        running = library.trial.TrialState.RUNNING
        return [self._trial(each) for each in self._all() if each.state == running]

    def _trial(self, known: Any) -> "Trial":
        """A trial that was begun, here or by a process that was killed; what it lacks is drawn."""
        library = optuna()
        self._seeded(known.number)
        trial: Trial = library.Trial(self.study, known._trial_id)
        for key, setting in self.space.settings.items():
            trial._suggest(key, setting.distribution())
        return trial

    def _new(self) -> "Trial":
        self._seeded(len(self._all()))
        each = {key: setting.distribution() for key, setting in self.space.settings.items()}
        return self.study.ask(each)

    def _seeded(self, number: int) -> None:
        seed = derive_seed(self.bench.seed, "trial", number) % 2**32
        self.study.sampler = optuna().samplers.TPESampler(seed=seed)

    def _wanted(self, recipe: Recipe, overrides: tuple[str, ...], fold: int) -> FoldOf | None:
        """The fold, unless it is under way."""
        if (recipe.name, fold) in self.busy:
            return None
        self.busy.add((recipe.name, fold))
        overrides = overrides or self.space.fixed
        return FoldOf(recipe, self.space.model, overrides, fold, self.into)

    def finished(self, recipe: Recipe, fold: int) -> float | None:
        """The score of a fold that lies in oof/ or among the trials; None where none does."""
        for into in (".", self.into):
            if (manifests := self.bench.finished(recipe, fold, into)) is not None:
                scores = [each["score"] for each in manifests if each["score"] is not None]
                return statistics.fmean(scores) if scores else math.nan
        return None

    def _next_of(self, trial: "Trial") -> FoldOf | None:
        """The next fold of a trial; None where it is under way or the trial has ended, which is
        written down."""
        library = optuna()
        states = library.trial.TrialState
        try:
            recipe = self.space.recipe(trial.params)
        except UsageError as error:
            self._end(trial, states.FAIL, str(error))
            return None
        if trial.user_attrs.get("run") != recipe.name:  # for people, in optuna-dashboard
            trial.set_user_attr("run", recipe.name)
        overrides, scores = self.space.overrides(trial.params), list[float]()
        told = trial.study._storage.get_trial(trial._trial_id).intermediate_values
        for fold in range(self.folds):
            score = self.finished(recipe, fold)
            if score is None:
                return self._wanted(recipe, overrides, fold)
            if math.isnan(score):
                self._end(trial, states.FAIL, f"{self.bench.metric.name} is undefined")
                return None
            scores.append(score)
            if fold not in told:
                trial.report(statistics.fmean(scores), fold)
            if fold + 1 < self.folds and trial.should_prune():
                self._end(trial, states.PRUNED, "")
                return None
        self._end(trial, states.COMPLETE, "", statistics.fmean(scores))
        return None

    # What has become of it.

    def told(self, outcome: Outcome) -> None:
        """A fold has ended: note it, and say how the trial stands."""
        task, library = outcome.task, optuna()
        self.busy.discard((task.recipe.name, task.fold))
        trials = [each for each in self._running() if self._is(each, task.recipe)]
        problem = outcome.diverged or outcome.refused
        if problem and task.recipe.name == self.space.default.name:
            kind = DivergedError if outcome.diverged else UsageError
            raise kind(f"the default, {task.recipe.name}, cannot be trained: {problem}")
        states = library.trial.TrialState
        for trial in trials if problem else []:
            # to the sampler a trial that ended without a score is worse than all that have one
            self._end(trial, states.PRUNED if outcome.diverged else states.FAIL, problem)
        if not problem:
            self._say_fold(task)

    def _is(self, trial: "Trial", recipe: Recipe) -> bool:
        try:
            return self.space.recipe(trial.params).name == recipe.name
        except UsageError:
            return False

    def _end(self, trial: "Trial", state: Any, problem: str, value: float | None = None) -> None:
        if problem:
            trial.set_user_attr("problem", " ".join(problem.split()))
        self.study.tell(trial, value, state)
        self.ended += 1
        standing = self.standing(self.study.get_trials(deepcopy=False)[trial.number])
        reach("trial")
        if all(each.params != trial.params for each in self._all()[: trial.number]):
            self.say(self._line(standing, problem))
        self._let_go()

    def _say_fold(self, task: FoldOf) -> None:
        score = self.finished(task.recipe, task.fold)
        known = [each for each in self._all() if each.user_attrs.get("run") == task.recipe.name]
        names = [f"trial {each.number}" for each in known] or ["default"]
        self.say(
            f"  {', '.join(names)}  fold {task.fold}  {self.bench.metric.name} "
            f"{'undefined' if score is None or math.isnan(score) else format(score, '.4f')}"
        )

    def _line(self, standing: Standing, problem: str) -> str:
        score = "–" if standing.score is None else f"{standing.score:.4f}"
        changed = ", ".join(standing.overrides[len(self.space.fixed) :]) or "the default"
        spent = time.monotonic() - self.began
        left = max(0, self.trials - self.begun) * spent / max(1, self.ended)
        more = f"  left: about {clock_text(left)}" if left >= 1 else ""
        what = {"failed": f"failed: {problem}", "pruned": problem or "ended early"}
        state = what.get(standing.state, "")
        return (
            f"trial {standing.number}  {self.bench.metric.name} {score}  {state or changed}"
            + (f"  ({changed})" if state else "")
            + more
        )

    def standing(self, trial: Any) -> Standing:
        """A trial of the study as it stands."""
        values = trial.intermediate_values
        score = trial.value if trial.value is not None else values[max(values)] if values else None
        known = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        overrides: tuple[str, ...] = ()
        recipe = None
        if set(trial.params) == set(self.space.settings):
            overrides = self.space.overrides(trial.params)
            try:
                recipe = self.space.recipe(trial.params)
            except UsageError:
                recipe = None
        return Standing(
            number=trial.number,
            recipe=recipe,
            overrides=overrides,
            state=known.get(trial.state.name, "running"),
            score=score,
        )

    def standings(self) -> list[Standing]:
        """All trials, in their order."""
        return [self.standing(each) for each in self._all()]

    def best(self, count: int) -> list[Standing]:
        """The *count* best complete trials of different settings, the default's not among them."""
        sign = -1 if self.bench.metric.greater_is_better else 1
        complete = [each for each in self.standings() if each.state == "complete"]
        found: dict[str, Standing] = {}
        for each in sorted(complete, key=lambda one: sign * (one.score or 0.0)):
            if each.recipe is not None and each.recipe.name != self.space.default.name:
                found.setdefault(each.recipe.name, each)
        return list(found.values())[:count]

    def _let_go(self) -> None:
        """Delete the weights of trials that are neither running nor among the best."""
        kept = {each.recipe.name for each in self.best(self.keep) if each.recipe is not None}
        kept.add(self.space.default.name)
        for each in self.standings():
            if each.state == "running" or each.recipe is None or each.recipe.name in kept:
                continue
            for fold in range(self.folds):
                for part in self.bench.parts(each.recipe, fold, self.into):
                    space = self.bench.paths(self.into).workspaces / each.recipe.name
                    where = space / part.parent.name / part.stem
                    (where / "trained.json").unlink(missing_ok=True)
                    shutil.rmtree(where / "weights", ignore_errors=True)


def same_folds() -> "BasePruner":
    """Ends a trial whose mean so far is worse than the median of the others' on the same folds."""
    from optuna.pruners import BasePruner

    class SameFolds(BasePruner):
        """See the head of this file."""

        def prune(self, study: Any, trial: Any) -> bool:
            """Whether *trial*, whose latest step is a fold and its value the mean up to there."""
            step = trial.last_step
            if step is None:
                return False
            others = [
                each.intermediate_values[step]
                for each in study.get_trials(deepcopy=False)
                if each.number != trial.number and step in each.intermediate_values
            ]
            if len(others) < FEWEST:
                return False
            own, usual = trial.intermediate_values[step], statistics.median(others)
            worse = own < usual if study.direction.name == "MAXIMIZE" else own > usual
            return bool(worse)

    return SameFolds()
