"""A small competition, trained once: a submission whose members' weights are all there.

toy-001-mean.csv      mean of linear and tiny, a transformer
"""

import shutil
from pathlib import Path

import pytest

from pipeline import cv
from pipeline.base.command import run
from pipeline.ensemble import __main__ as ensemble
from tests.toy import toy_competition

NAME = "toy-001-mean.csv"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root that is copied; left as it is."""
    root = toy_competition(tmp_path_factory.mktemp("trained"))
    assert run(cv.main, ["--root", str(root), "--model", "linear", "--model", "tiny"]) == 0
    assert run(ensemble.main, ["--root", str(root), "--method", "mean"]) == 0
    assert (root / "submissions" / NAME).is_file()
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    """A copy to work in."""
    return Path(shutil.copytree(trained, tmp_path / "root"))
