"""What all tests share: nothing but this."""

import gc


def pytest_collection_finish() -> None:
    """Set apart what is imported by now: each fold that a test trains has Python look for circles,
    and looking through all libraries every time would take most of the suite's time."""
    gc.collect()
    gc.freeze()
