"""The whole checkup: every competition under a root, its runs and submissions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipeline.base import Paths, UsageError, raise_if
from pipeline.base.paths import safe_name
from pipeline.data.tokens.files import NAME
from pipeline.doctor.finding import (
    Finding,
    Section,
    attempt,
    guarded,
    link,
    oddities,
    ours,
    stranger,
    unsafe,
)
from pipeline.doctor.folds import check_folds
from pipeline.doctor.run import check_run
from pipeline.doctor.submissions import check_ledger, check_submission, submissions
from pipeline.doctor.workspace import check_tokens

# What a checkup looks at: what it was asked for, and what there is under a root, by name.


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
    return folders, findings + [stranger(path) for path in paths or [] if path not in folders]


FOLDERS = ("folds", "oof", "runs", "submissions")
OTHER = "other files"


def checkup(scope: Scope) -> list[Section]:
    """Look at everything in *scope*; UsageError where it names what is not there."""
    if not scope.root.is_dir():
        raise UsageError(f"there is no folder {scope.root}")
    there = list_root(scope.root).only(scope.competitions, scope.runs)
    sections = [section for check in CHECKS for section in check(scope, there)]
    sections.sort(key=lambda section: (section.competition == "", section.competition))
    return list(_each_once(sections))


def _each_once(sections: Sequence[Section]) -> Iterator[Section]:
    """The sections without what was found twice, such as a folder that cannot be read."""
    told: set[tuple[Path, str]] = set()
    for section in sections:
        fresh = []
        for finding in section.findings:
            if (finding.path, finding.what) not in told:
                told.add((finding.path, finding.what))
                fresh.append(finding)
        if fresh or section.subject != OTHER:
            yield replace(section, findings=fresh)


def folds_and_runs(scope: Scope, there: Listing) -> Iterator[Section]:
    """Of each competition its folds, then its runs."""
    for name in there.runs:
        yield from _competition(scope, there, name)


def _competition(scope: Scope, there: Listing, name: str) -> Iterator[Section]:
    paths, runs = Paths(scope.root, name), there.runs[name]
    if paths.runs.name != name:  # a folder that no competition can have: its files are not ours
        odd = [scope.root / folder / name for folder in ("oof", "runs", "folds")]
        findings = [found for path in odd if path.exists() for found in unsafe(path, "competition")]
        yield Section(competition=name, subject="folds", counts="not looked at", findings=findings)
        return
    frozen, findings = check_folds(paths, len(runs))
    yield Section(competition=name, subject="folds", counts=frozen.counts, findings=findings)
    for run in runs:
        yield check_run(paths, run, frozen, scope.quick)


def submission_files(scope: Scope, there: Listing) -> Iterator[Section]:
    """Of each competition its submissions and their ledger."""
    for name, files in there.submissions.items():
        findings = [
            finding
            for csv in files
            for finding in guarded(csv, check_submission(scope.root, csv, scope.quick))
        ]
        if name:
            folder = scope.root / "submissions"
            findings += check_ledger(folder, name, scope.quick)
        count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
        yield Section(competition=name, subject="submissions", counts=count, findings=findings)


def token_stores(scope: Scope, there: Listing) -> Iterator[Section]:
    """Of no competition: the tokenised texts in runs/tokens/."""
    if not scope.competitions and not scope.runs:
        yield from check_tokens(scope.root, scope.quick)


def other_files(scope: Scope, there: Listing) -> Iterator[Section]:
    """What lies between the folders of runs; only where there is something to say."""
    for name in there.runs:
        folders = [scope.root / folder / name for folder in ("oof", "runs")]
        yield from _odd_files(scope.root, folders, name, [])
    everything = not scope.competitions and not scope.runs
    folders = [scope.root / name for name in FOLDERS] if everything else []
    yield from _odd_files(scope.root, folders, "", there.findings)


def _odd_files(
    root: Path, folders: Sequence[Path], competition: str, told: Sequence[Finding]
) -> Iterator[Section]:
    findings = [*told, *(f for folder in folders for f in guarded(folder, _between(root, folder)))]
    if findings:
        yield Section(competition=competition, subject=OTHER, counts="", findings=findings)


def _between(root: Path, folder: Path) -> Iterator[Finding]:
    if folder.parent == root:
        yield from link(root, folder)
    yield from oddities(root, folder, deep=False)


Check = Callable[[Scope, Listing], Iterable[Section]]
"""What was asked for and what there is -> what was looked at, with what is wrong there."""
CHECKS: tuple[Check, ...] = (folds_and_runs, submission_files, other_files, token_stores)
