"""Cases that are left to the nightly run (`make faults`), so that the suite stays short.

What is left out is always a further case of a test that the suite runs, or a whole way whose parts
have tests of their own.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def nightly(*values: Any) -> Any:
    """A case of the nightly run alone."""
    return pytest.param(*values, marks=pytest.mark.nightly)


def often(cases: Iterable[Any], kept: Callable[[Any], bool]) -> list[Any]:
    """*cases*, of which those that are not *kept* are nightly."""
    return [case if kept(case) else _left(case) for case in cases]


def every(step: int, cases: Iterable[Any]) -> list[Any]:
    """*cases*, of which the first, the one *step* later and so on are kept."""
    return [_left(case) if n % step else case for n, case in enumerate(cases)]


def _left(case: Any) -> Any:
    return nightly(*case) if isinstance(case, tuple) else nightly(case)
