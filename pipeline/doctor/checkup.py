"""The whole checkup: every competition under a root, its runs and submissions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.base import Competition, read_json
from pipeline.base.errors import UsageError
from pipeline.base.paths import Paths, safe_name
from pipeline.data.reading.parts import is_there
from pipeline.doctor.finding import Finding, Section, guarded, link, oddities, problem, unsafe
from pipeline.doctor.folds import check_folds
from pipeline.doctor.listing import Listing, Scope, list_root
from pipeline.doctor.run import check_run
from pipeline.doctor.submissions import check_ledger, check_submission
from pipeline.doctor.workspace import check_tokens
from pipeline.folds.passport import recipe_problems

FOLDERS = ("folds", "oof", "runs", "submissions")
OTHER = "other files"


def checkup(scope: Scope) -> list[Section]:
    """Look at everything in *scope*; UsageError where it names what is not there."""
    if not scope.root.is_dir():
        raise UsageError(
            f"there is no folder {scope.root}; --root takes the one that has configs/, folds/, oof/"
        )
    there = list_root(scope.root)
    if scope.config and safe_name(scope.config.name) not in {*there.runs, *there.submissions}:
        there = Listing(runs={}, submissions={}, findings=[])  # nothing was trained by it yet
    else:
        there = there.only(scope.competitions, scope.runs)
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


def config(scope: Scope, there: Listing) -> Iterator[Section]:
    """Of the config that was given: whether its files are there and the folds were made by it."""
    if scope.config is None:
        return
    paths = Paths(scope.root, scope.config.name)
    data = scope.config.data
    files = [data.train, data.test, data.sample_submission, *data.extra_train, *data.holdout]
    files += [join.file for join in data.joins]
    findings = [
        problem(
            scope.root / file,
            "is named in the config and is not there",
            "Put the file there, or correct the config's section data.",
        )
        for file in files
        if file and not is_there(scope.root / file)
    ]
    findings += guarded(paths.passport, _other_settings(paths, scope.config))
    yield Section(
        competition=safe_name(scope.config.name),
        subject="config",
        counts=f"{scope.config.task.problem}, {scope.config.task.metric}",
        findings=findings,
    )


def _other_settings(paths: Paths, competition: Competition) -> Iterator[Finding]:
    if not paths.passport.exists():
        return
    for said in recipe_problems(read_json(paths.passport), competition):
        yield problem(
            paths.passport,
            f"does not fit the config: {said}",
            "Put back the setting; or delete the folds to freeze new ones, after which every model "
            "is trained again.",
        )


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
CHECKS: tuple[Check, ...] = (
    config,
    folds_and_runs,
    submission_files,
    other_files,
    token_stores,
)
