"""The machine and the versions that figures were measured with, and where figures are kept."""

import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "benchmarks" / "results"
DATA = PROJECT.parent / "shared" / "data"
"""Practice competitions, a folder each, beside the project."""


def machine_line(*libraries: str) -> str:
    """Cores, processor family, Python, the versions of *libraries*, and today's date."""
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), OMP_NUM_THREADS="
        f"{os.environ.get('OMP_NUM_THREADS', 'unset')}, Python {platform.python_version()}, "
        f"numpy {version('numpy')}, {versions}, {date.today().isoformat()}."
    )


def keep(name: str, page: str, figures: Any = None) -> None:
    """Write results/NAME.md and, where there are *figures*, results/NAME.json."""
    (RESULTS / f"{name}.md").write_text(page.rstrip() + "\n", encoding="utf-8")
    if figures is not None:
        text = json.dumps(figures, indent=2, ensure_ascii=False)
        (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
