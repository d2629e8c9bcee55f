"""A small competition whose folds, run, weights and submission are whole: for tests that damage it.

root = sound(tmp_path)
(root / "oof/toy/linear/seed-42/fold-1.npz").unlink()
examine(root).problems  # what pipeline.doctor says
"""

import atexit
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import cv
from pipeline.base.command import run
from pipeline.base.files import commit_arrays, sha256
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from tests.blendable import make
from tests.quick import quick

OOF = Path("oof/toy/linear/seed-42")
WORK = Path("runs/toy/linear/seed-42")
RUN = Path("oof/toy/linear/run.json")
SUBMISSION = Path("submissions/toy-001-best.csv")


@cache
def _whole() -> Path:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    root = Path(folder.name)
    make(root, "regression", "pearson", n=60, m=10)
    quick(root)
    arguments = ["--root", str(root), "--config", "toy"]
    for main, more in ((cv.main, ["--model", "linear"]), (ensemble.main, ["--method", "best"])):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert run(main, [*arguments, *more]) == 0, said.getvalue()
    return root


def sound(folder: Path) -> Path:
    """A copy in *folder*: competition toy of four folds, run linear, one submission."""
    return shutil.copytree(_whole(), folder / "root", symlinks=True)


@dataclass(frozen=True)
class Answer:
    """What the doctor said."""

    code: int
    findings: list[dict[str, str]]
    sections: list[dict[str, Any]]

    @property
    def problems(self) -> list[dict[str, str]]:
        return [finding for finding in self.findings if finding["severity"] == "problem"]

    @property
    def notes(self) -> list[dict[str, str]]:
        return [finding for finding in self.findings if finding["severity"] == "note"]


def examine(root: Path, *more: str) -> Answer:
    """Run the doctor; paths in its answer are given below *root*."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = run(doctor.main, ["--root", str(root), "--json", *more])
    answer = json.loads(said.getvalue().replace(f"{root}/", ""))
    assert (code == 5) == (not answer["consistent"])
    return Answer(code, answer["findings"], answer["sections"])


def problem_of(root: Path, path: Path | str, *more: str) -> dict[str, str]:
    """The only problem there is, which is that of *path*."""
    answer = examine(root, *more)
    assert answer.code == 5
    (found,) = answer.problems
    assert found["path"] == str(path)
    return found


def edit(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file; None deletes one."""
    content = json.loads(path.read_text()) | changes
    kept = {name: value for name, value in content.items() if value is not None}
    path.write_text(json.dumps(kept))


def edit_settings(path: Path, **changes: Any) -> None:
    """Change settings in a fold's manifest."""
    edit(path, settings=json.loads(path.read_text())["settings"] | changes)


def recommit(root: Path, part: str, **arrays: np.ndarray) -> None:
    """Commit a fold with other *arrays*, all hashes brought up to date."""
    path = root / OOF / f"{part}.npz"
    with np.load(path) as archive:
        before = dict(archive)
    commit_arrays(path, {**before, **arrays})
    resign(root, part)


def resign(root: Path, part: str) -> None:
    """Bring the hashes of one fold's file up to date in its manifest and in run.json."""
    path = root / OOF / f"{part}.npz"
    edit(path.with_suffix(".json"), predictions_sha256=sha256(path))
    parts = json.loads((root / RUN).read_text())["parts"]
    edit(root / RUN, parts=parts | {f"seed-42/{part}": sha256(path)})


def spoil(path: Path) -> None:
    """Flip one byte in the middle; the size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def dead_process() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""], env=dict(os.environ)) as child:
        child.wait()
    return child.pid
