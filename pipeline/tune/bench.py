"""Where the folds of a search are trained: in this process, by several side by side, on a cluster.

Whoever searches says which fold comes next each time there is room for one; what is finished lies
on the disk, so a search that was killed asks here what there is already.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.base import ArtifactError, Competition, Paths, UsageError, read_json
from pipeline.base.command import STOP
from pipeline.base.errors import DivergedError
from pipeline.data.candidates import Candidates
from pipeline.experiments.companion import tracked
from pipeline.metrics import metric_of
from pipeline.models import Recipe
from pipeline.models.recipes import as_begun
from pipeline.oof.members import read_members
from pipeline.oof.predictions import Wanted
from pipeline.oof.texts import read_text_members
from pipeline.report.page import page
from pipeline.training import Job, check_space
from pipeline.training.ground import Ground, begun_seeds
from pipeline.training.jobs import differences
from pipeline.training.parallel.scheduler import Cluster, Ended, FoldTask, Scheduler
from pipeline.training.progress import Preparing, Progress
from pipeline.training.run import cross_validate, unfinished

if TYPE_CHECKING:
    from jsonargparse import Namespace
    from rich.console import Console

    from pipeline.experiments.companion import Companion

LEADERS = (
    "--model",
    "--set",
    "--seed",
    "--space",
    "--trials",
    "--search-folds",
    "--confirm",
    "--hours",
    "--into",
)
"""Options with a value that a search gives each fold itself, or that are its own."""
FLAGS = ("--no-prune", "--no-weights", "--dry-run")


class FoldOf(NamedTuple):
    """One fold of one recipe, in all its repeats."""

    recipe: Recipe
    model: str
    """As --model names it, before its *overrides* (KEY=VALUE)."""
    overrides: tuple[str, ...]
    fold: int
    into: str = "."
    """The folder of the root below which its files lie."""


class Outcome(NamedTuple):
    """What became of a fold: its predictions lie on the disk, or it has a problem."""

    task: FoldOf
    diverged: str = ""
    refused: str = ""
    """Its settings do not go together."""


def tracked_by(
    args: "Namespace", competition: Competition
) -> AbstractContextManager["Companion | None"]:
    """What keeps the records of --track, unless nothing is trained; its last line goes to
    stderr."""
    service = None if args.dry_run else args.track
    say = partial(page(sys.stderr).print, soft_wrap=True)
    return tracked(service, competition.name, args.root, args.min_free_gb, say)


Ask = Callable[[], FoldOf | None]
"""The next fold to train; None where nothing can be begun before another has ended."""
Told = Callable[[Outcome], None]


class Bench:
    """Trains folds, and knows what lies on the disk."""

    def __init__(
        self,
        ground: Ground,
        argv: Sequence[str],
        console: "Console",
        on_gpu: bool,
        companion: "Companion | None" = None,
    ) -> None:
        """*argv*: the command's own arguments, for the processes that train its folds; progress
        goes to *console*; *on_gpu*: whether folds would use one; *companion* hears of every run."""
        from pipeline.training.parallel.workers import FLAGS as ALL_FLAGS
        from pipeline.training.parallel.workers import WITH_VALUE, without

        self.ground, self.args, self.console = ground, ground.args, console
        self.argv = without(argv, (*WITH_VALUE, *LEADERS), (*ALL_FLAGS, *FLAGS))
        self.seed: int = ground.args.seed[0]
        self.metric = metric_of(ground.competition, ground.root)
        self.on_gpu, self.companion = on_gpu, companion
        self.progress = Progress("", 0, console)
        self._seeds: dict[tuple[str, str], int] = {}
        self._job: Job | None = None
        self._key: tuple[str, str] | None = None

    def paths(self, into: str = ".") -> Paths:
        """The files of the competition below a folder of the root."""
        return Paths(self.ground.root / into, self.ground.competition.name)

    def seed_of(self, recipe: Recipe, into: str = ".") -> int:
        """The seed that a recipe is trained with: another than asked for where it was begun with
        that and every seed gives the same."""
        begun, key = begun_seeds(self.paths(into), recipe.name), (recipe.name, into)
        if not begun or self.seed in begun:
            return self.seed
        if key not in self._seeds:
            job = self.ground.job(recipe, into)
            self._seeds[key] = next(iter(job.seeds))
            job.factory.close()
        return self._seeds[key]

    def parts(self, recipe: Recipe, fold: int, into: str = ".") -> list[Path]:
        """The manifests that a fold has when it is finished, one for each repeat."""
        repeats, paths = range(len(self.ground.folds.fold_of_row)), self.paths(into)
        seed = self.seed_of(recipe, into)
        return [
            paths.fold_predictions(recipe.name, seed, repeat, fold).with_suffix(".json")
            for repeat in repeats
        ]

    def finished(self, recipe: Recipe, fold: int, into: str = ".") -> list[dict[str, Any]] | None:
        """The manifests of a fold; None where it is not finished.

        ArtifactError where it was trained under other settings.
        """
        paths = self.parts(recipe, fold, into)
        if not all(path.exists() for path in paths):
            return None
        found = [read_json(path) for path in paths]
        settings = found[0]["settings"]
        begun = as_begun(recipe, settings["recipe"])  # by an earlier release, perhaps
        wanted = self.ground.settings_of(begun)
        known = {key: settings.get(key) for key in wanted}
        if changed := differences(known, wanted):
            raise ArtifactError(
                f"run {recipe.name} has folds that were trained with other settings:\n"
                + "\n".join(f"  - {line}" for line in changed)
                + f"\nTrain it anew: python -m pipeline.cv --model {recipe.name} --fresh"
            )
        return found

    def said(self, runs: Sequence[str]) -> list[np.ndarray]:
        """(n, k) what each of these complete runs says of the held-out rows, in the order of the
        folds."""
        ground, wanted = self.ground, self._wanted
        outputs, test, holdout = ground.competition.outputs, wanted.test.ids, wanted.holdout.ids
        members = read_members(self.paths(), runs, ground.folds, outputs, test, holdout)
        return [np.asarray(each) for each in members.oof]

    def texts_said(self, runs: Sequence[str]) -> list[list[Candidates]]:
        """The same of texts: candidates by each seed and repeat."""
        ground = self.ground
        outputs = ground.competition.outputs
        found = read_text_members(self.paths(), runs, ground.folds, outputs, self._wanted)
        return [run.oof for run in found]

    @property
    def _wanted(self) -> Wanted:
        tables = self.ground.tables
        holdout = tables.test.ids[:0] if tables.holdout is None else tables.holdout.ids
        return Wanted.of(self.ground.folds.ids, tables.test.ids, holdout)

    def work(self, ask: Ask, told: Told) -> None:
        """Train what *ask* names until it names nothing and nothing is under way any more.

        What a fold's process dies of, other than divergence or settings that are refused, ends the
        work once the others have ended; see `Scheduler.work`, `cross_validate` for what is raised.
        """
        if self.args.cluster:
            self._on_cluster(ask, told)
        elif self.args.workers > 1:
            self._side_by_side(ask, told)
        else:
            self._here(ask, told)

    def close(self) -> None:
        """Let go of the learner's memory."""
        if self._job is not None:
            self._job.factory.close()
        self._job = self._key = None

    # In this process: one fold after the other, tables and backbone stay loaded.

    def job(self, recipe: Recipe, into: str = ".") -> Job:
        """The job of *recipe*, made once while it is the same; closed with the next one."""
        if self._job is None or self._key != (recipe.name, into):
            self.close()
            self._job, self._key = self.ground.job(recipe, into), (recipe.name, into)
            self.expect(recipe, into)
        return self._job

    def expect(self, recipe: Recipe, into: str) -> None:
        """Tell --track, where it was asked for, that *recipe* is about to be trained."""
        if self.companion is not None:
            self.companion.expect(recipe.name, self.ground.settings_of(recipe), into)

    def _here(self, ask: Ask, told: Told) -> None:
        with self.progress:
            while (task := ask()) is not None:
                STOP.check()
                told(self._trained(task))

    def _trained(self, task: FoldOf) -> Outcome:
        try:
            job = self.job(task.recipe, task.into)
            if missing := unfinished(job, [task.fold]):
                job.factory.prepare(job.tables.all, Preparing(job.run, self.console))
                check_space(job, missing)
                self.progress.run = job.run
                cross_validate(job, self.metric, self.progress.watch, lambda *_: None, [task.fold])
        except DivergedError as error:
            return Outcome(task, diverged=str(error))
        except UsageError as error:
            return Outcome(task, refused=str(error))
        return Outcome(task)

    # By others: each fold is the command `pipeline.cv`, as those of a cluster are.

    def _side_by_side(self, ask: Ask, told: Told) -> None:
        from pipeline.training.parallel.processes import Processes
        from pipeline.training.parallel.workers import check_gpus, visible_gpus

        gpus = visible_gpus(os.environ) if self.on_gpu else []
        check_gpus(self.args.workers, gpus, self.args.workers_per_gpu)
        processes = Processes(self.args.workers, gpus)
        try:
            Feed(self, processes, processes.at_once(), ask, told).work()
        finally:
            processes.close()

    def _on_cluster(self, ask: Ask, told: Told) -> None:
        from pipeline.training.parallel.ray_cluster import cluster_of, connect

        ray = connect(self.args.cluster)
        try:
            with STOP.listening():  # Ray takes the signals for itself when it connects
                cluster = cluster_of(ray, self.args, self.on_gpu, None, self.say)
                Feed(self, cluster, cluster.at_once(), ask, told).work()
        finally:
            ray.shutdown()

    def say(self, line: str) -> None:
        """A lasting line about the work."""
        with self.progress.pause():
            self.console.print(line, soft_wrap=True)

    def arguments(self, task: FoldOf) -> list[str]:
        """Of `pipeline.cv`, for one fold."""
        sets = [word for override in task.overrides for word in ("--set", override)]
        fold = ["--seed", str(self.seed), "--only-fold", str(task.fold)]
        bare = ["--no-weights"] if self.args.no_weights else []
        into = ["--into", task.into, "--worker", "1"]
        return [*self.argv, "--model", task.model, *sets, *fold, *bare, *into]


@dataclass(kw_only=True)
class Sent(FoldTask):
    """A fold on its way, and what was asked for."""

    asked: FoldOf


class Feed(Scheduler):
    """A scheduler whose next task is decided on when one has ended."""

    def __init__(self, bench: Bench, cluster: Cluster, at_once: int, ask: Ask, told: Told) -> None:
        super().__init__(cluster, [], STOP, bench.say)
        self.bench, self.at_once, self.ask, self.told = bench, at_once, ask, told
        self._fill()

    def _fill(self) -> None:
        while len(self.waiting) + len(self.under_way) < self.at_once and not self.failures:
            if (task := self.ask()) is None:
                return
            self.bench.expect(task.recipe, task.into)
            self.waiting.append(
                Sent(
                    run=task.recipe.name,
                    name=f"fold {task.fold} of {task.recipe.name}",
                    argv=self.bench.arguments(task),
                    manifests=self.bench.parts(task.recipe, task.fold, task.into),
                    asked=task,
                )
            )

    def _look(self, task: FoldTask, end: Ended) -> None:
        assert isinstance(task, Sent)
        words = end.words.strip().removeprefix("error: ")
        if end.code == DivergedError.exit_code:
            self.told(Outcome(task.asked, diverged=words))
        elif end.code == UsageError.exit_code:
            self.told(Outcome(task.asked, refused=words))
        else:
            super()._look(task, end._replace(said=""))
            if all(path.exists() for path in task.manifests):
                self.told(Outcome(task.asked))
        self._fill()
