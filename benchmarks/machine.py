"""The machine and the versions that figures were measured with, in one line."""

import os
import platform
from datetime import date
from importlib.metadata import version


def machine_line(*libraries: str) -> str:
    """Cores, processor family, Python, the versions of *libraries*, and today's date."""
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), OMP_NUM_THREADS="
        f"{os.environ.get('OMP_NUM_THREADS', 'unset')}, Python {platform.python_version()}, "
        f"numpy {version('numpy')}, {versions}, {date.today().isoformat()}."
    )
