"""A small competition with three written submissions, made once and copied for each test.

toy-001-mean.csv      mean of m0, m1, m2
toy-002-best.csv      m0 alone
toy-003-simplex.csv   m0 and m3, which errs in its own way
"""

import shutil
from pathlib import Path

import pytest

from pipeline.base.command import run
from pipeline.ensemble.__main__ import main as ensemble
from tests.blendable import make

FIRST, SECOND, THIRD = "toy-001-mean.csv", "toy-002-best.csv", "toy-003-simplex.csv"
MADE: list[Path] = []


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root that is copied; left as it is."""
    if not MADE:  # a fixture is made anew for every module that imports it
        MADE.append(_written(tmp_path_factory.mktemp("written")))
    return MADE[0]


def _written(folder: Path) -> Path:
    task = "label_range: [0, 5]"
    toy = make(folder, "regression", "pearson", task=task, folds=3)
    for place, noise in enumerate((0.6, 0.8, 1.0, 0.62)):
        toy.add_run(f"m{place}", noise, seed=place)
    for options in (
        ["--runs", "m0", "m1", "m2", "--method", "mean"],
        ["--runs", "m0"],
        ["--runs", "m0", "m3", "--method", "simplex"],
    ):
        assert run(ensemble, toy.arguments(*options)) == 0
    return toy.root


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy to work in."""
    return Path(shutil.copytree(written, tmp_path / "root"))
