"""What was chosen and why, and what only a person can decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base import UsageError, raise_if
from pipeline.base.inputs import FileConfig
from pipeline.data.reading.reader import SKIPPED, found_encoding, read


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What the person has decided already, by a flag of init; None or empty: decide."""

    name: str | None = None
    train: str | None = None
    test: str | None = None
    sample: str | None = None
    holdout: Sequence[str] = ()
    extra: Sequence[str] = ()
    id: str | None = None
    texts: Sequence[str] = ()
    template: Sequence[str] = ()
    targets: Sequence[str] = ()
    problem: Any = None
    metric: str | None = None
    classes: Sequence[str] = ()
    class_codes: Sequence[str] = ()
    """CLASS=CODE each, or as-is."""
    unlabelled: str | None = None
    short_sample: bool = False
    no_joins: bool = False
    folds: int | None = None
    seed: int | None = None
    encoding: Sequence[str] = ()
    """NAME for all files, FILE=NAME for one; of others it is found."""
    names: Sequence[str] = ()
    """FILE=a,b,c each: the columns of a file without a header; FILE=header: it has one."""
    skip_broken: Sequence[str] = ()
    """Files whose broken lines are left out."""
    decimal: str | None = None
    """What stands for the point in numbers: a comma, or a point."""
    numbers: Mapping[Path, Mapping[str, str]] = field(default_factory=dict)
    """Of files what was found so: columns, and how their numbers are written."""

    def named(self, path: Path) -> str:
        """What --names says of the file *path*; an empty text for nothing."""
        given = (each.rpartition("=") for each in self.names)
        return next((names for file, _, names in given if Path(file).name == path.name), "")

    @property
    def all_encoding(self) -> str | None:
        """The encoding of all files that none of their own is named for; None: find it."""
        return next((each for each in self.encoding if "=" not in each), None)

    def encoding_of(self, path: Path) -> str | None:
        """The encoding of the file *path*, where it is not that of all files."""
        given = (each.rpartition("=") for each in self.encoding if "=" in each)
        own = next((codec for file, _, codec in given if Path(file).name == path.name), None)
        return own or (found_encoding(path) if self.all_encoding is None else None)

    def how(self, path: Path) -> FileConfig:
        """How the file *path* is read."""
        names = self.named(path)
        skip = any(Path(each).name == path.name for each in self.skip_broken)
        return FileConfig(
            file=str(path),
            names=[] if names in ("", "header") else [each.strip() for each in names.split(",")],
            encoding=self.encoding_of(path),
            broken="skip" if skip else "refuse",
            numbers=dict(self.numbers.get(path, {})),
        )

    def read(self, path: Path) -> pd.DataFrame:
        """The rows of the file *path*; DataError as `pipeline.data.reading.reader.read`."""
        how = self.how(path)
        return read(
            path,
            how.encoding or self.all_encoding or "utf-8",
            option=f"--encoding {_literal(path.name)}={{0}}",
            how=how,
            way=SKIPPED,
        ).frame


def _literal(text: str) -> str:
    """*text* as a format has to have it."""
    return text.replace("{", "{{").replace("}", "}}")


@dataclass
class Choices:
    """Questions that stay open, and the reasons of what was decided, by field of the config."""

    questions: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def ask(self, flag: str, why: str, candidates: Sequence[str] = ()) -> None:
        """Leave a choice to the person: *flag* decides it, and these are the *candidates*."""
        named = ", ".join(repr(candidate) for candidate in candidates[:12])
        choices = f" (candidates: {named})" if candidates else ""
        self.questions.append(f"{flag}: {why}{choices}")

    def because(self, key: str, *reasons: str) -> None:
        """Say why the field *key* of the config has its value; called again, it adds a line."""
        lines = [line for line in (self.reasons.get(key, ""), *reasons) if line]
        self.reasons[key] = "\n".join(lines)

    def settle(self) -> None:
        """Raise UsageError with all open questions at once; do nothing where there are none."""
        raise_if(self.questions, UsageError, "init cannot decide this; say it with a flag")
