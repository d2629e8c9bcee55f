"""What a finished bundle does: a few rows predicted from it, and all of them by a stranger.

The stranger is its predict.py in a process of its own: an empty folder and an empty home, no
variables but the path, no network where the system can cut it off (unshare, Linux), and a socket
that refuses to connect everywhere.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError
from pipeline.data import Table, load
from pipeline.data.candidates import Candidates
from pipeline.models.learner import Silent
from pipeline.serve.bundle import open_bundle
from pipeline.serve.packing.pack import Asked
from pipeline.training.fold import generate_bare, predict_bare

SOME = 64
"""Rows of the test file that are predicted for a look."""
AWAY = 1e-3
"""Share of the predictions' spread by which the same weights may differ from what they said when
they were trained: rows that are batched with others round otherwise."""
GUARD = """import socket
def refused(*args, **kwargs):
    raise OSError("the network is cut off")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refused
socket.getaddrinfo = refused
"""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A few test rows, predicted from the bundle."""

    rows: int
    of: int
    """Rows of the test file."""
    largest: float
    """The largest difference from what the runs said of them; of texts the share of rows that a
    learner answered otherwise."""
    load_seconds: float
    row_seconds: float
    """All learners, per row."""

    @property
    def seconds(self) -> float:
        """What the whole test file would take on this machine."""
        return self.load_seconds + self.row_seconds * self.of


def look(asked: Asked, folder: Path, exact: bool) -> Look:
    """Predict some test rows from the bundle in *folder*.

    Raises ArtifactError where they are not what the runs said, if the weights are *exact*.
    """
    tables = load(asked.origin.competition, asked.root)
    some = _some(tables.test)
    began, loading, largest, allowed = time.monotonic(), 0.0, 0.0, 0.0
    bundle = open_bundle(folder, whole=False)
    ask, compare = HEARD[bundle.competition.task.problem_type.predictions]
    for saved, said in zip(bundle.runs(), asked.said, strict=True):
        heard = []
        for part in saved.parts:
            at = time.monotonic()
            learner = saved.factory.load(saved.weights(part))
            loading += time.monotonic() - at
            heard.append(ask(saved, learner, some, Silent()))
        apart, most = compare(heard, said)
        largest, allowed = max(largest, apart), max(allowed, most)
    if exact and largest > allowed:
        raise ArtifactError(
            f"the bundle predicts other values than the runs did: {largest:g} apart, where "
            f"{allowed:g} may come of rows that are batched with others. Are the libraries others "
            "than those they were trained with?"
        )
    working = time.monotonic() - began - loading
    return Look(
        rows=len(some),
        of=len(tables.test),
        largest=largest,
        load_seconds=loading,
        row_seconds=working / max(len(some), 1),
    )


def _values_apart(heard: list[np.ndarray], said: np.ndarray) -> tuple[float, float]:
    """The largest difference of the mean of learners, and how large it may be."""
    apart = sum(each.astype(np.float64) for each in heard) / len(heard) - said[: len(heard[0])]
    return float(np.abs(apart).max()), AWAY * max(float(said.std()), 1e-6)


def _texts_apart(heard: list[Candidates], said: list[Candidates]) -> tuple[float, float]:
    """The share of rows with other candidates, and how large it may be."""
    rows = len(heard[0]) * len(heard)
    other = [
        text != before
        for each, then in zip(heard, said, strict=False)  # one learner may stand for all folds
        for text, before in zip(each.texts, then.texts, strict=False)
    ]
    return sum(other) / rows, OTHERS


OTHERS = 0.05
"""Share of rows whose candidates may be others, or stand in another order, by such rounding."""
HEARD: dict[str, tuple[Callable[..., Any], Callable[..., tuple[float, float]]]] = {
    "numbers": (predict_bare, _values_apart),
    "texts": (generate_bare, _texts_apart),
}
"""What predictions are (`Problem.predictions`) -> how a learner is asked, and how far it is off."""


def _some(table: Table) -> Table:
    """The first rows of *table*, whole documents of them where they are units."""
    count = min(SOME, len(table))
    if table.units is not None:
        ends = [rows.stop for rows in table.units.documents]
        count = next((end for end in ends if end >= count), len(table))
    return table.rows(np.arange(len(table)) < count)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """All of the test file, by the bundle alone."""

    same: bool
    """Whether the bytes are the submission's."""
    seconds: float
    cut_off: str
    """How the network was kept away."""


def prove_alone(asked: Asked, folder: Path) -> Proof:
    """Let a stranger predict the test file with the bundle in *folder*; ArtifactError where the
    command fails, with what it said."""
    data = asked.origin.competition.data
    with tempfile.TemporaryDirectory() as empty:
        home, guard = Path(empty) / "home", Path(empty) / "guard"
        home.mkdir()
        guard.mkdir()
        (guard / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
        out = Path(empty) / "predicted.csv"
        command = [sys.executable, str(folder.resolve() / "predict.py")]
        command += [str((asked.root / data.test).resolve()), "-o", str(out)]
        if data.sample_submission:
            command += ["--sample", str((asked.root / data.sample_submission).resolve())]
        cut_off = _without_network()
        began = time.monotonic()
        done = subprocess.run(
            [*cut_off, *command],
            cwd=empty,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(home),
                "PYTHONPATH": str(guard),
                "HF_HUB_OFFLINE": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                **{name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ},
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ArtifactError(f"the bundle cannot predict by itself:\n{done.stderr.strip()}")
        same = out.read_bytes() == asked.made.content
    how = "a network namespace of its own" if cut_off else "a socket that refuses"
    return Proof(same=same, seconds=time.monotonic() - began, cut_off=how)


def _without_network() -> list[str]:
    """The words that start a command without a network; none where the system does not allow it."""
    words = ["unshare", "--map-root-user", "--net"]
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return []
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return [] if tried.returncode else words
