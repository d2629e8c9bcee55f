"""A search and a race on a real Ray cluster of two nodes, both on this machine."""

import json
import shutil
from pathlib import Path

import pytest

from tests.toy import command, predictions, toy_competition
from tests.training.parallel.nodes import Nodes, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "there can be a cluster"),
]
TUNE = ["--model", "linear", "--trials", "3", "--search-folds", "1", "--confirm", "1", "--json"]
RACE = ["--model", "linear", "--model", "tiny", "--hours", "0.05"]


@pytest.fixture(scope="module")
def nodes():
    """A head that trains nothing, and two nodes."""
    try:
        cluster = Nodes(2).__enter__()
    except RuntimeError as error:
        pytest.skip(f"no Ray cluster can be started here: {error}")
    yield cluster
    cluster.__exit__()


def test_what_a_search_and_a_race_train_on_nodes_has_the_bytes_of_training_here(
    tmp_path: Path, nodes: Nodes
) -> None:
    far, here = tmp_path / "far", tmp_path / "here"
    far.mkdir()
    shutil.copytree(toy_competition(far), here)
    searched = command(far, "tune", *TUNE, "--cluster", nodes.address)
    assert searched.returncode == 0, searched.stderr
    assert f"cluster {nodes.address}: folds for 2 nodes" in searched.stderr
    raced = command(far, "race", *RACE, "--cluster", nodes.address)
    assert raced.returncode == 0, raced.stderr
    winner = json.loads(searched.stdout)["winner"]
    shutil.copytree(far / "configs", here / "configs", dirs_exist_ok=True)
    for model in {"linear", "tiny", winner}:
        assert command(here, "cv", "--model", model).returncode == 0
    found = {name: sha for name, sha in predictions(far).items() if name.startswith("oof/")}
    assert len(found) >= 6  # the default and `tiny`, of three folds each
    assert found == {name: sha for name, sha in predictions(here).items() if name in found}
