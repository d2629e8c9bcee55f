"""What all tests share: nothing but this."""

import functools
import gc
import os

import docstring_parser
import pytest

MUCH = 20_000
"""Objects: more than a test leaves that loads nothing."""


def pytest_configure() -> None:
    """Read the docstrings of settings once: each command that a test calls asks for them anew to
    make its options, and parsing them is half of what a short command takes."""
    read = functools.cache(docstring_parser.parse_from_object)
    pytest.MonkeyPatch().setattr("docstring_parser.parse_from_object", read)

    # What is kept is kept though the power fails: no test pulls the plug, and waiting for the disk
    # twice a file takes a twentieth of the time. Programs that tests start do wait.
    pytest.MonkeyPatch().setattr(os, "fsync", lambda handle: None)


def pytest_collection_finish() -> None:
    """Set apart what is imported by now: each fold that a test trains has Python look for circles,
    and looking through all libraries every time would take most of the suite's time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Set apart, too, what a test has loaded: libraries load much when they are first used."""
    if len(gc.get_objects(generation=2)) > MUCH:
        gc.collect()
        gc.freeze()
