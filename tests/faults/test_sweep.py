"""Whatever is done to a command, the same command again ends with the same bytes.

FAULT_TRIALS=60 (`make faults`, the nightly run) makes so many trials of each kind, each kind in a
process of its own. The ordinary suite kills at places of its own choice: `test_cv` between folds,
`training/test_fold` after the training of one, `test_craft` within a step of the optimiser, and
`test_cases` fills the disk.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.nightly import nightly
from tests.toy import PROJECT, environment, toy_competition

FEW = {
    "linear": {"kill9": 1, "enospc": 1},
    "tiny": {"points": 1},
}
MORE = {"linear": (), "tiny": ("kill9", "sigkill", "sigterm", "enospc")}
"""Kinds of the nightly run alone."""
MANY = int(os.environ.get("FAULT_TRIALS", "0"))
SWEEPS: list[Any] = [nightly("tiny", FEW["tiny"])]
if MANY:
    SWEEPS = [(model, {kind: MANY}) for model, few in FEW.items() for kind in (*few, *MORE[model])]


@pytest.mark.parametrize(("model", "counts"), SWEEPS)
def test_nothing_is_lost_and_nothing_is_different(
    tmp_path: Path, model: str, counts: dict[str, int]
) -> None:
    root = toy_competition(tmp_path)
    asked = [f"{kind}={count}" for kind, count in counts.items()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.sweep", str(root), model, *asked],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *problems, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert problems == []
    assert last["trials"].keys() == counts.keys()
    assert all(0 < last["trials"][kind] <= count for kind, count in counts.items())
