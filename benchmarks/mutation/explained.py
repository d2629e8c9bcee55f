"""Mutants that no test can or should notice, each with its reason: explained.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutation.plan import COPY, Mutant

LIST = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True)
class Explained:
    """Reasons by file, line before and line after."""

    reasons: dict[tuple[str, str, str], str]

    def has(self, file: str, mutant: Mutant) -> bool:
        """Whether a survivor has its reason."""
        return (file, mutant.before, mutant.after) in self.reasons


def read_explained() -> Explained:
    """The list; a reason whose line is gone is refused, so that the list stays true."""
    found = {}
    for each in tomllib.loads(LIST.read_text("utf-8")).get("mutant", []):
        file, before = each["file"], each["before"]
        path = COPY / file
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        if before not in (line.strip() for line in lines):
            raise SystemExit(f"{LIST}: {file} has no line `{before}` any more: remove its reason")
        found[file, before, each["after"]] = each["why"]
    return Explained(found)
