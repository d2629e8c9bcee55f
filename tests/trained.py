"""A small competition, trained once: a submission whose members' weights are all there.

toy-001-mean.csv      mean of linear and tiny, a transformer
"""

import shutil
from pathlib import Path

import pytest

from pipeline import bundle, cv
from pipeline.base.command import run
from pipeline.ensemble import __main__ as ensemble
from tests.toy import toy_competition

NAME = "toy-001-mean.csv"
MADE: dict[str, Path] = {}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root that is copied; left as it is. Made once a process, whoever imports it."""
    if MADE:
        return MADE["root"]
    root = toy_competition(tmp_path_factory.mktemp("trained"))
    assert run(cv.main, ["--root", str(root), "--model", "linear", "--model", "tiny"]) == 0
    assert run(ensemble.main, ["--root", str(root), "--method", "mean"]) == 0
    assert (root / "submissions" / NAME).is_file()
    MADE["root"] = root
    return root


@pytest.fixture(scope="session")
def bundles(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """whole: linear and tiny; quick: linear alone. Left as they are."""
    if "bundles" in MADE:
        return MADE["bundles"]
    folder = tmp_path_factory.mktemp("bundles")
    for name, more in (("whole", []), ("quick", ["--members", "linear"])):
        argv = ["--root", str(trained), NAME, "-o", str(folder / name), *more]
        assert run(bundle.main, argv) == 0
    MADE["bundles"] = folder
    return folder


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    """A copy to work in."""
    return Path(shutil.copytree(trained, tmp_path / "root"))
