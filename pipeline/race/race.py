"""Many models and so many hours: which fold is trained next, what it bought, and where it stands.

The state is what lies on the disk, finished folds and `runs/NAME/race.jsonl`, so that the same
command goes on after any kill. `rule` decides, by what `gain` measures. A complete run by which the
honest score falls is left out of the ensemble.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.base import UsageError
from pipeline.base.command import STOP
from pipeline.base.paths import RACE
from pipeline.ensemble import Gain
from pipeline.models import Recipe
from pipeline.models.learner import Silent
from pipeline.models.registry import LEARNERS
from pipeline.oof.predictions import complete_runs
from pipeline.oof.runs import find_runs
from pipeline.race.gain import MEASURED
from pipeline.race.rule import Racer, kept_back, next_of
from pipeline.submissions.build import BuildRequest
from pipeline.submissions.built import Built, make_any
from pipeline.training.progress import Journal, clock_text
from pipeline.training.run import cross_validate
from pipeline.tune.bench import Bench, FoldOf, Outcome

HOUR = 3600.0
TIDY_SECONDS = 30.0
"""For a fold to save, and for the file to be written, beside the time that the ensemble takes."""


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One model of the race."""

    model: str
    """As --model names it."""
    recipe: Recipe


@dataclass(kw_only=True)
class Race:
    """Says which fold comes next, and keeps the account of what was bought."""

    bench: Bench
    entrants: Sequence[Entrant]
    sets: tuple[str, ...]
    """KEY=VALUE of all models."""
    seconds: float
    """The time that there is, from now on."""
    say: Callable[[str], None]
    dry: bool = False
    """Only look: nothing is written."""
    clock: Callable[[], float] = time.monotonic
    out: dict[str, str] = field(default_factory=dict)
    busy: dict[tuple[str, int], FoldOf] = field(default_factory=dict)
    gains: dict[tuple[str, int, str], Gain] = field(default_factory=dict)
    """(run, its finished folds, the ensemble's runs) -> what was measured."""
    ensemble_seconds: float = 0.0
    kept: list[str] = field(default_factory=list)
    """The complete runs that the ensemble is of."""
    honest: float | None = None
    """Its honest score."""

    def __post_init__(self) -> None:
        self.began = self.told_at = self.clock()
        path = self.bench.paths().workspaces / RACE
        self.journal = Journal(path, Silent())
        for each in self.entrants if not self.dry else ():
            self._complete(each)
        complete, known = self.complete(), self._left_out()
        self.kept = [name for name in complete if name not in known] or complete
        if self.kept:
            self.honest = self._scored(self.kept)
            self._enter("the race begins")

    # Time.

    @property
    def reserve(self) -> float:
        """Seconds kept for the ensemble and its file: what it took last, and half as much again."""
        return 1.5 * self.ensemble_seconds + min(TIDY_SECONDS, self.seconds / 10)

    @property
    def left(self) -> float:
        """Seconds for training."""
        return self.began + self.seconds - self.reserve - self.clock()

    # What comes next.

    def ask(self) -> FoldOf | None:
        """The next fold; None where nothing is worth its time, or is under way already."""
        racers = self.racers()
        free = [self._without_busy(each) for each in racers]
        found = next_of([each for each in free if each is not None], self.left)
        if found is None:
            return None
        seconds = self.left - (0.0 if found.done else kept_back(racers))
        STOP.limit, STOP.deadline = "--hours", STOP.clock() + max(0.0, seconds)
        entrant = next(each for each in self.entrants if each.recipe.name == found.name)
        fold = min(set(range(found.folds)) - self._taken(entrant))
        task = FoldOf(entrant.recipe, entrant.model, self.sets, fold)
        self.busy[found.name, fold] = task
        self.say(f"next  fold {fold} of {found.name}: {self._why(found, racers)}")
        return task

    def _why(self, racer: Racer, racers: Sequence[Racer]) -> str:
        if not racer.done:
            return "its first"
        if not any(each.complete for each in racers):
            return "the quickest to complete, for a submission in hand"
        return (
            f"expected {racer.expected:+.5f} in {clock_text(racer.seconds_left or 0.0)}, "
            f"measured {racer.gain:+.5f} ± {racer.error:.5f}"
        )

    def _taken(self, entrant: Entrant) -> set[int]:
        """Folds that are finished or under way."""
        name = entrant.recipe.name
        return {*self._done(entrant.recipe), *(fold for run, fold in self.busy if run == name)}

    def _without_busy(self, racer: Racer) -> Racer | None:
        """The racer, unless all of its folds are under way."""
        under_way = sum(run == racer.name for run, _ in self.busy)
        if not racer.done and under_way:  # its first fold says first what the others cost
            return None
        return None if under_way and racer.done + under_way >= racer.folds else racer

    def racers(self) -> list[Racer]:
        """Every model as it stands."""
        return [self._racer(each) for each in self.entrants]

    def _racer(self, entrant: Entrant) -> Racer:
        recipe, count = entrant.recipe, self.bench.ground.folds.count
        done = self._done(recipe)
        kind = LEARNERS[recipe.learner]
        racer = Racer(
            name=recipe.name,
            done=len(done),
            folds=count,
            seconds=statistics.fmean(done.values()) if done else None,
            cost=0 if not kind.torch else 1 if recipe.learner == "embeddings" else 2,
            out=self.out.get(recipe.name, ""),
        )
        if not racer.open or not done or not self.kept:
            return racer
        gain = self._gain(recipe, sorted(done))
        return replace(racer, gain=gain.difference, error=gain.error)

    def _done(self, recipe: Recipe) -> dict[int, float]:
        """Finished fold -> its seconds."""
        found = {}
        for fold in range(self.bench.ground.folds.count):
            if (manifests := self.bench.finished(recipe, fold)) is not None:
                found[fold] = sum(sum(each["seconds"].values()) for each in manifests)
        return found

    def complete(self) -> list[str]:
        """The complete runs whose scores can be believed, a team-mate's too."""
        paths = self.bench.paths()
        if not complete_runs(paths.runs):
            return []
        folds = self.bench.ground.competition.folds
        try:
            return find_runs(paths, [], False, folds, "python -m pipeline.cv --model NAME")[0]
        except UsageError:  # the score of none can be believed
            return []

    # What a run that is not complete is expected to gain.

    def _gain(self, recipe: Recipe, done: Sequence[int]) -> Gain:
        names = self.kept
        key = (recipe.name, len(done), " ".join(names))
        if key not in self.gains:
            kind = self.bench.ground.competition.task.problem_type.predictions
            self.gains[key] = MEASURED[kind](self.bench, recipe, done, names)
        return self.gains[key]

    # What has become of it.

    def told(self, outcome: Outcome) -> None:
        """A fold has ended: what it says, and what it bought where the run is complete now."""
        task = outcome.task
        self.busy.pop((task.recipe.name, task.fold), None)
        if problem := outcome.diverged or outcome.refused:
            self.drop(task, problem)
            return
        manifests = self.bench.finished(task.recipe, task.fold) or []
        score = ", ".join(f"{each['score']:.4f}" for each in manifests if each["score"] is not None)
        seconds = sum(sum(each["seconds"].values()) for each in manifests)
        name = self.bench.metric.name
        self.say(
            f"  {task.recipe.name} fold {task.fold}  {name} {score or 'undefined'}  "
            f"{clock_text(seconds)}  {clock_text(max(0.0, self.left))} left"
        )
        entrant = next(each for each in self.entrants if each.recipe.name == task.recipe.name)
        if self._complete(entrant):
            self._add(task.recipe.name)
        if self.clock() - self.told_at >= HOUR:
            self.told_at = self.clock()
            self.say(self.last_hour())

    def drop(self, task: FoldOf, why: str) -> None:
        """A model is not trained any more in this race."""
        self.busy.pop((task.recipe.name, task.fold), None)
        self.out[task.recipe.name] = " ".join(why.split())
        self.say(f"out   {task.recipe.name}: {why}")

    def interrupted(self, why: str) -> bool:
        """What was under way has saved and ended; whether something else has time now."""
        for task in list(self.busy.values()):
            self.drop(task, why)
        return next_of(self.racers(), self.left) is not None

    def _complete(self, entrant: Entrant) -> bool:
        """Whether the run is complete; its run.json is written where only that is missing."""
        recipe, count = entrant.recipe, self.bench.ground.folds.count
        if len(self._done(recipe)) < count:
            return False
        if not self.bench.paths().run_manifest(recipe.name).exists():
            job = self.bench.job(recipe)
            cross_validate(job, self.bench.metric, self.bench.progress.watch, lambda *_: None)
        return True

    def _add(self, run: str) -> None:
        """A run is complete: the ensemble takes it, unless its honest score falls by that."""
        before, with_it = self.honest, [*self.kept, run]
        honest = self._scored(with_it)
        gain = 0.0 if before is None or honest is None else self._gained(before, honest)
        if gain < 0:
            self.journal.record("left out", f"{run} costs {-gain:.5f}", run=run)
            self.say(
                f"{run} is complete and left out: honest {self.bench.metric.name} with it "
                f"{_shown(honest)}, without it {_shown(before)}"
            )
            return
        self.kept, self.honest = with_it, honest
        self._enter(f"{run} is complete" + ("" if before is None else f", {gain:+.5f}"))

    def _scored(self, names: Sequence[str]) -> float | None:
        """The honest score of the ensemble of these runs; how long it takes is noted."""
        began = self.clock()
        made = self.made(names)
        self.ensemble_seconds = self.clock() - began
        return made.outcome.honest

    def _enter(self, what: str) -> None:
        """An entry of the account."""
        facts = {"at": time.time(), "honest": self.honest, "runs": list(self.kept)}
        if not self.dry:
            self.journal.record("score", what, **facts)
        self.say(f"{what}: honest {self.bench.metric.name} {_shown(self.honest)}")

    def _left_out(self) -> set[str]:
        """Runs that an earlier race, or this one before it was killed, has left out."""
        entries = self.journal.entries()
        return {str(each.get("run")) for each in entries if each.get("what") == "left out"}

    def made(self, names: Sequence[str]) -> Built:
        """The submission that the runs of these *names* make."""
        ground = self.bench.ground
        return make_any(ground.root, ground.competition, BuildRequest(runs=list(names)))

    def _gained(self, before: float, after: float) -> float:
        """Above 0 is better, whatever the metric's direction."""
        return after - before if self.bench.metric.greater_is_better else before - after

    # The account.

    def account(self, seconds: float | None = None) -> tuple[float, list[str]] | None:
        """What the last *seconds* bought (None: since this process began): the gain of the honest
        score, and the runs completed; None where there is no score before or after."""
        since = time.time() - (self.clock() - self.began if seconds is None else seconds)
        entries = [each for each in self.journal.entries() if each.get("what") == "score"]
        scored = [each for each in entries if isinstance(each.get("honest"), float)]
        before = [each for each in scored if each["at"] <= since]
        if not scored:
            return None
        first = before[-1] if before else scored[0]
        new = [run for run in scored[-1]["runs"] if run not in first["runs"]]
        return self._gained(first["honest"], scored[-1]["honest"]), new

    def last_hour(self) -> str:
        """What the last hour bought, in a line."""
        found, metric = self.account(HOUR), self.bench.metric.name
        if found is None:
            return "the last hour bought no complete run yet"
        gain, runs = found
        return f"the last hour bought {gain:+.5f} {metric}: {', '.join(runs) or 'no further run'}"


def _shown(score: float | None) -> str:
    return "–" if score is None else f"{score:.4f}"
