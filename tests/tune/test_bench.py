"""Folds that are decided on one by one and handed to others: processes, or a cluster."""

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.models.settings import LinearRecipe
from pipeline.training.parallel.processes import Processes
from pipeline.training.parallel.scheduler import Ended
from pipeline.training.parallel.workers import WorkerError
from pipeline.tune import bench as module
from pipeline.tune.bench import Feed, FoldOf, Outcome


class Nodes:
    """A cluster that ends folds in turn, as *codes* say; a fold that ends well leaves its file."""

    def __init__(self, codes: dict[str, int]) -> None:
        self.codes, self.most = codes, 0
        self.running: list[list[str]] = []

    def submit(self, argv: list[str]) -> int:
        self.running.append(argv)
        self.most = max(self.most, len(self.running))
        return len(self.running) - 1

    def ended(self, handles: list[int], seconds: float) -> list[int]:
        return handles[:1]

    def result(self, handle: int) -> Ended:
        (name,) = self.running[handle]
        code = self.codes.get(Path(name).name, 0)
        if code == 0:
            Path(name).touch()
        return Ended(code, "node", "said", "error: it went wrong")


def fed(folder: Path, names: list[str], nodes: Nodes) -> list[Outcome]:
    stub: Any = SimpleNamespace(
        say=lambda line: None,
        expect=lambda recipe, into: None,
        arguments=lambda task: [str(folder / task.recipe.name)],
        parts=lambda recipe, fold, into: [folder / recipe.name],
    )
    waiting, outcomes = [FoldOf(LinearRecipe(name=name), "m", (), 0) for name in names], []

    def told(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if outcome.task.recipe.name == "a":  # what comes next depends on what has ended
            waiting.append(FoldOf(LinearRecipe(name="after"), "m", (), 0))

    Feed(stub, nodes, 2, lambda: waiting.pop(0) if waiting else None, told).work()
    return outcomes


def test_the_next_fold_is_asked_for_when_one_has_ended(tmp_path):
    nodes = Nodes({"b": 6, "c": 2})
    outcomes = fed(tmp_path, ["a", "b", "c"], nodes)
    said = {each.task.recipe.name: (each.diverged, each.refused) for each in outcomes}
    wrong = "it went wrong"
    assert said == {"a": ("", ""), "b": (wrong, ""), "c": ("", wrong), "after": ("", "")}


def test_a_fold_that_fails_ends_the_work_after_the_others(tmp_path):
    nodes = Nodes({"a": 4})
    with pytest.raises(WorkerError) as found:
        fed(tmp_path, ["a", "b", "c"], nodes)
    assert found.value.exit_code == 4
    assert (tmp_path / "b").exists()
    assert not (tmp_path / "c").exists()


def test_a_process_says_how_it_ended_and_makes_room(monkeypatch):
    processes = Processes(1)
    handle = processes.submit(["--nonsense"])
    assert processes.free == []
    while not (ended := processes.ended([handle], 1.0)):
        pass
    assert ended == [handle]
    found = processes.result(handle)
    assert found.code == 2
    assert "--nonsense" in found.words
    assert processes.free == [1]
    processes.close()


def test_a_fold_gets_the_options_of_the_search_and_its_own():
    given = shlex.split(
        "--root r --model m --set a=1 --trials 9 --space f --workers 2 --time-limit=9h"
    )
    given += ["--no-prune", "--on-nan", "rollback", "--folds.count", "4"]
    args: Any = SimpleNamespace(
        competition=SimpleNamespace(task=SimpleNamespace(metric="pearson")),
        root=Path(),
        args=SimpleNamespace(seed=[7], no_weights=True),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "metric_of", lambda *_: None)
        bench = module.Bench(args, given, SimpleNamespace(is_terminal=False), False)  # type: ignore[arg-type]
    task = FoldOf(LinearRecipe(name="m-1"), "m", ("a=1", "b=[1, 2]"), 3, "runs/tune/x")
    assert bench.arguments(task) == [
        *shlex.split("--root r --on-nan rollback --folds.count 4 --model m --set a=1 --set"),
        "b=[1, 2]",
        *shlex.split("--seed 7 --only-fold 3 --no-weights --into runs/tune/x --worker 1"),
    ]
