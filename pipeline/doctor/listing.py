"""What a checkup looks at: what it was asked for, and what there is under a root, by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.base.config import Competition
from pipeline.base.errors import UsageError, raise_if
from pipeline.base.paths import RACE, STUDIES, TUNE, safe_name
from pipeline.data.tokens.files import NAME
from pipeline.doctor.finding import Finding, attempt, ours, stranger
from pipeline.doctor.submissions import submissions


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is looked at."""

    root: Path
    competitions: Sequence[str] = ()
    """Only these; empty for all."""
    runs: Sequence[str] = ()
    """Only these, and no submissions; empty for all."""
    quick: bool = False
    """Read names, sizes and manifests only; hash nothing."""
    config: Competition | None = None
    """What the frozen folds and the files are held against, where a config was given."""


# What there is under a root: competitions, their runs, their submissions.


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Everything by name."""

    runs: dict[str, list[str]]
    """Competition -> its runs, of those that have folds or a run."""
    submissions: dict[str, list[Path]]
    """Competition -> its submissions; those of no competition under the empty name."""
    findings: list[Finding]
    """What could not be read, or is not of the pipeline."""

    def only(self, competitions: Sequence[str], runs: Sequence[str]) -> "Listing":
        """The part of it that is asked for; UsageError for a name that is not there."""
        names = {safe_name(name) for name in competitions}
        wanted = {safe_name(name) for name in runs}
        here = {*self.runs, *self.submissions} - {""}
        problems = _unknown("competition", names, here)
        kept = {name: own for name, own in self.runs.items() if not names or name in names}
        problems += _unknown("run", wanted, {run for own in kept.values() for run in own})
        raise_if(problems, UsageError)
        return Listing(
            runs={
                name: [run for run in own if not wanted or run in wanted]
                for name, own in kept.items()
                if not wanted or wanted & set(own)
            },
            submissions={
                name: paths
                for name, paths in self.submissions.items()
                if not wanted and (not names or name in names)
            },
            findings=[] if names or wanted else self.findings,
        )


def _unknown(kind: str, wanted: set[str], there: set[str]) -> list[str]:
    known = ", ".join(sorted(there)) or "none"
    return [f"there is no {kind} {name}; there are: {known}" for name in sorted(wanted - there)]


def list_root(root: Path) -> Listing:
    """Everything below *root* by the names of files and folders."""
    names, findings = _frozen_names(root / "folds")
    runs: dict[str, set[str]] = {name: set() for name in names}
    for folder in (root / "oof", root / "runs"):
        competitions, more = _folders(folder)
        findings += more
        for competition in competitions:
            found, more = _folders(competition)
            if competition == root / "runs" / "tokens":  # or the runs of a competition of that name
                found = [run for run in found if not NAME.fullmatch(run.name)]
                if not found:
                    continue
            if competition == root / "runs" / TUNE:  # trials lie inside, and are no runs
                found = [run for run in found if not (run / STUDIES).is_file()]
                if not found:
                    continue
            findings += more
            runs.setdefault(competition.name, set()).update(run.name for run in found)
    files, more = submissions(root / "submissions")
    return Listing(
        runs={name: sorted(own) for name, own in sorted(runs.items())},
        submissions=files,
        findings=findings + more,
    )


def _frozen_names(folder: Path) -> tuple[set[str], list[Finding]]:
    paths, findings = attempt(folder, partial(ours, folder))
    files = [path for path in paths or [] if path.suffix in (".csv", ".json")]
    findings += [stranger(path) for path in paths or [] if path not in files]
    return {path.stem for path in files}, findings


def _folders(folder: Path) -> tuple[list[Path], list[Finding]]:
    """The folders in *folder*; a link that leads nowhere counts as one."""
    paths, findings = attempt(folder, partial(ours, folder))
    folders = [path for path in paths or [] if path.is_dir() or path.is_symlink()]
    strangers = [path for path in paths or [] if path not in folders and path.name != RACE]
    return folders, findings + [stranger(path) for path in strangers]
