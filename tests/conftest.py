"""What all tests share: nothing but this."""

import functools
import gc
import os
import shutil
import sys
from pathlib import Path

import docstring_parser
import pytest

MUCH = 20_000
"""Objects: more than a test leaves that loads nothing."""
IN_MEMORY, ROOM = Path("/dev/shm"), 2**30
"""Where files of tests lie if so many bytes are free there; a run takes a tenth of that."""
_LOADED = [0]
"""Modules, when what a test has loaded was last looked at."""


def pytest_configure() -> None:
    """Read the docstrings of settings once: each command that a test calls asks for them anew to
    make its options, and parsing them is half of what a short command takes."""
    read = functools.cache(docstring_parser.parse_from_object)
    pytest.MonkeyPatch().setattr("docstring_parser.parse_from_object", read)

    # Making and deleting files takes a disk a tenth of the time. PYTEST_DEBUG_TEMPROOT of the
    # environment, where pytest lets its folders lie, is heeded.
    if os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))

    # What is kept is kept though the power fails: no test pulls the plug, and waiting for the disk
    # twice a file takes a twentieth of the time. Programs that tests start do wait.
    pytest.MonkeyPatch().setattr(os, "fsync", lambda handle: None)


def pytest_collection_finish() -> None:
    """Set apart what is imported by now: each fold that a test trains has Python look for circles,
    and looking through all libraries every time would take most of the suite's time."""
    gc.collect()
    gc.freeze()
    # Each run asks whether anything is set apart, and Python walks over all of it to count it.
    pytest.MonkeyPatch().setattr(gc, "get_freeze_count", lambda: MUCH)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Set apart, too, what a test has loaded: libraries load much when they are first used. Looked
    at where one was, and at the end of a file: counting takes half a millisecond."""
    loaded = len(sys.modules)
    if loaded == _LOADED[0] and nextitem is not None and nextitem.path == item.path:
        return
    _LOADED[0] = loaded
    if len(gc.get_objects(generation=2)) > MUCH:
        gc.collect()
        gc.freeze()
