"""What all tests share: nothing but this."""

import functools
import gc
import os

import docstring_parser
import pytest


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
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Set apart what a file of tests has loaded besides, too: libraries load much when first used.

    Its fixtures are gone by now."""
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()
