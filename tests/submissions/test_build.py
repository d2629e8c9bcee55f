"""From runs to a file: what equal weights make beside it, and tags."""

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.submissions.build import BuildRequest, as_decoded, beside_equal_weights, make
from tests.blendable import make as make_toy


@pytest.mark.parametrize(
    ("metric", "noises", "named"),
    [
        ("rmse", (0.9, 0.2, 4.0), ["left"]),
        ("pearson", (0.9, 0.8, 0.9), ["blended", "left", "other"]),
    ],
    ids=["one left out is better alone", "the mean of all is better"],
)
def test_equal_weights_beside_a_blend_are_those_of_all_runs_or_the_best_one_left_out(
    tmp_path, metric, noises, named
):
    toy = make_toy(tmp_path, "regression", metric, folds=3)
    runs = ["blended", "left", "other"]
    for seed, (run, noise) in enumerate(zip(runs, noises, strict=True)):
        toy.add_run(run, noise, seed)
    made = make(toy.root, toy.competition, BuildRequest(runs=runs[:1], method="mean"))
    instead = beside_equal_weights(made, toy.root, runs, "COMMAND").outcome.instead
    assert instead.runs == named
    assert instead.command == ("COMMAND --runs left" if len(named) == 1 else "COMMAND")
    alone = make(toy.root, toy.competition, BuildRequest(runs=named, method="mean")).outcome
    assert instead.honest == alone.honest
    better = alone.honest - made.outcome.honest
    assert instead.gain.difference == pytest.approx(better if metric == "pearson" else -better)
    assert instead.gain.difference > 0


def test_tags_are_written_as_decoded_document_by_document():
    task = TaskConfig(problem="tags", metric="entity-f1", classes=["O", "B-LC", "I-LC"])
    chances = np.array([[0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.4, 0.1, 0.5]])
    found = as_decoded(task, chances, ["a#0", "a#1", "b#0"])
    assert found.tolist() == np.eye(3)[[1, 2, 0]].tolist(), "no entity of b begins in a"
