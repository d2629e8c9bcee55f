"""The whole checkup: every competition under a root, its runs and submissions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.paths import Paths
from pipeline.doctor.disk import link, oddities
from pipeline.doctor.finding import Finding, Section, guarded
from pipeline.doctor.folds import check_folds
from pipeline.doctor.ledger import check_ledger
from pipeline.doctor.listing import Listing, list_root
from pipeline.doctor.names import unsafe
from pipeline.doctor.run import check_run
from pipeline.doctor.submissions import check_submission
from pipeline.doctor.tokens import check_tokens

FOLDERS = ("folds", "oof", "runs", "submissions")
OTHER = "other files"


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


def checkup(scope: Scope) -> list[Section]:
    """Look at everything in *scope*; UsageError where it names what is not there."""
    if not scope.root.is_dir():
        raise UsageError(f"there is no folder {scope.root}")
    there = list_root(scope.root).only(scope.competitions, scope.runs)
    sections = [section for name in there.runs for section in _competition(scope, there, name)]
    sections += [*_submissions(scope, there), *_other_files(scope, there)]
    if not scope.competitions and not scope.runs:
        sections += check_tokens(scope.root, scope.quick)
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


def _competition(scope: Scope, there: Listing, name: str) -> Iterator[Section]:
    """The folds of one competition, then its runs."""
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


def _submissions(scope: Scope, there: Listing) -> Iterator[Section]:
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


def _other_files(scope: Scope, there: Listing) -> Iterator[Section]:
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
