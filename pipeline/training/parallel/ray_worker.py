"""What runs on a machine of a cluster: a look at it, and one fold as a process of its own.

Sent there by value, so it needs nothing but Python: a machine without Foldstack can say so. A fold
is a child process, not a call, so that signals reach a main thread of its own, and so that it dies,
or saves and ends, with the task that started it.
"""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 110.0
"""For a fold to save and end, once it was asked to."""
TAIL_BYTES = 4000
"""Of what a failed fold said: enough for its message, little enough to be sent."""
VERSION = "import pipeline; print(pipeline.__version__)"


def look(folder: str, token: str, content: str, environment: dict[str, str]) -> dict[str, str]:
    """What this machine sees: its name, the content of the file *token*, "" where it has none, and
    the version of Foldstack that `python -m pipeline.cv` would run in *folder*."""
    node = platform.node()
    try:
        found = Path(token).read_text(encoding="utf-8")
    except OSError as error:
        return {"node": node, "problem": f"cannot read {token} ({error.strerror})"}
    if found != content:
        return {"node": node, "problem": f"reads other things in {token} than this machine wrote"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", VERSION],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"node": node, "problem": f"cannot start {sys.executable} in {folder}: {error}"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return {"node": node, "problem": f"{sys.executable} in {folder} says: {last}"}
    return {"node": node, "version": done.stdout.strip()}


def train(argv: list[str], folder: str, environment: dict[str, str]) -> dict[str, Any]:
    """Run `python -m pipeline.cv` with *argv* in *folder* to its end.

    Returns a small manifest: the node, the exit code (negative: killed by that signal), what it
    said on standard output, and the end of what it said on standard error. Where the task is
    cancelled, or its driver is gone, the fold is asked to save and end.
    """
    command = [sys.executable, "-m", "pipeline.cv", *argv]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as words:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=words,
            process_group=0,
        )
        try:
            while child.poll() is None:
                time.sleep(POLL_SECONDS)
        except BaseException:  # cancelled: KeyboardInterrupt; the driver is gone: SystemExit
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(PATIENCE_SECONDS)
            finally:
                child.kill()
        code = child.wait()
        tails = []
        for stream in (said, words):
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            tails.append(stream.read().decode("utf-8", "replace"))
    return {"node": platform.node(), "code": code, "said": tails[0], "words": tails[1]}
