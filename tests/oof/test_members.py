"""A run that is read as an ensemble's member goes through one room, from file to file, straight."""

import sys
from itertools import groupby
from types import FrameType
from typing import Any

from pipeline.oof.members import read_members
from tests.blendable import Toy, make

ROOM = "/pipeline/oof/"


def files_walked(toy: Toy) -> list[str]:
    """Files of the room in the order in which a reader goes into its functions, each once."""
    names, seen = [], set()

    def watch(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        named = not code.co_name.startswith("<")  # a comprehension is no place to go to
        if event == "call" and named and ROOM in code.co_filename and code not in seen:
            seen.add(code)
            names.append(code.co_filename.rpartition(ROOM)[2])

    sys.setprofile(watch)
    try:
        ids = toy.tables.test.ids, toy.folds.ids[:0]
        read_members(toy.paths, ["m0", "m1"], toy.folds, toy.competition.outputs, *ids)
    finally:
        sys.setprofile(None)
    return names


def test_the_way_of_a_run_into_an_ensemble_never_goes_back(tmp_path):
    toy = make(tmp_path, "regression", "rmse", n=40, m=8)
    toy.add_run("m0", 0.5)
    toy.add_run("m1", 0.7, seed=1)
    stays = [name for name, _ in groupby(files_walked(toy))]
    assert stays == [
        "members.py",
        "manifest.py",
        "compatibility.py",
        "predictions.py",
        "arrays.py",
    ]


def test_no_runs_are_no_members(tmp_path):
    toy = make(tmp_path, "regression", "rmse", n=40, m=8)
    ids = toy.tables.test.ids, toy.folds.ids[:0]
    found = read_members(toy.paths, [], toy.folds, toy.competition.outputs, *ids)
    assert (found.names, found.oof, found.test, found.holdout) == ([], [], [], [])
