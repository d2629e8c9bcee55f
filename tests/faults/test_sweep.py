"""Whatever is done to a command, the same command again ends with the same bytes.

A few trials of each kind here; FAULT_TRIALS=200 (the nightly run) makes it so many of each.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import PROJECT, environment, toy_competition

FEW = {
    ("linear", "kill9"): 10,
    ("linear", "enospc"): 10,
    ("tiny", "kill9"): 5,
    ("tiny", "enospc"): 5,
    ("tiny", "points"): 8,
    ("tiny", "sigkill"): 5,
    ("tiny", "sigterm"): 4,
}


@pytest.mark.parametrize(("model", "kind"), list(FEW))
def test_nothing_is_lost_and_nothing_is_different(tmp_path: Path, model: str, kind: str) -> None:
    trials = int(os.environ.get("FAULT_TRIALS", FEW[model, kind]))
    root = toy_competition(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.sweep", str(root), model, kind, str(trials)],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *problems, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert problems == []
    assert 0 < last["trials"] <= trials
