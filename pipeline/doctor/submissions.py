"""Submissions against their provenance, and against the runs they were made from."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.base import ArtifactError, Paths, read_json
from pipeline.base.errors import PipelineError
from pipeline.base.files import sha256
from pipeline.doctor.finding import LOOK_AGAIN, Finding, attempt, guarded, note, ours, problem
from pipeline.doctor.folds import not_as_written
from pipeline.doctor.repair import Commands
from pipeline.submissions import Entry
from pipeline.submissions.ledger import ledger_path, read_ledger
from pipeline.submissions.submission_file import METHOD, SUFFIXES, beside

# The ledger of what was sent, against the files it speaks of.


SUFFIX = "-ledger.jsonl"


def ledger_of(path: Path) -> str:
    """The competition whose ledger *path* is by its name; empty where it is none.

    >>> ledger_of(Path("toy-ledger.jsonl")), ledger_of(Path("toy-001-mean.csv"))
    ('toy', '')
    """
    return path.name.removesuffix(SUFFIX) if path.name.endswith(SUFFIX) else ""


def check_ledger(folder: Path, competition: str, quick: bool) -> Iterator[Finding]:
    """Look at the ledger in *folder*, which may be missing, and at the files it names."""
    path = ledger_path(folder, competition)
    advice = f"Mend the lines by hand or restore it (git, or a teammate's copy), {LOOK_AGAIN}."
    entries, failed = attempt(path, partial(read_ledger, folder, competition), advice)
    yield from failed
    for entry in [] if quick else entries or []:
        csv = folder / Path(entry.file).name
        if csv.is_file() and not_as_written(csv, entry.sha256, quick):
            yield problem(
                csv,
                f"is not the file that was sent under this name on {entry.day}",
                f"Restore the file (git, or a teammate's copy); or mend the name in {path.name}.",
            )


def was_sent(csv: Path, quick: bool) -> bool:
    """Whether a ledger beside *csv* holds it; *quick* goes by its name."""
    entries: list[Entry] = []
    for path in sorted(csv.parent.glob(f"*{SUFFIX}")):
        found, _ = attempt(path, partial(read_ledger, csv.parent, ledger_of(path)))
        entries += found or []
    if quick:
        return csv.name in {entry.file for entry in entries}
    return bool(entries) and sha256(csv) in {entry.sha256 for entry in entries}


NAME = re.compile(rf"(?P<competition>.+)-\d{{3,}}-{METHOD}")


def competition_of(path: Path) -> str:
    """The competition that a submission's name tells; empty where it is no such name.

    >>> competition_of(Path("toy-001-mean.csv")), competition_of(Path("mine.csv"))
    ('toy', '')
    """
    found = NAME.fullmatch(path.stem)
    return found["competition"] if found and path.suffix in (*SUFFIXES, ".json") else ""


def check_submission(root: Path, csv: Path, quick: bool) -> Iterator[Finding]:
    """Look at one submission and the provenance beside it, of which one may be missing."""
    record, name = csv.with_suffix(".json"), competition_of(csv)
    if not record.exists():
        if name or not was_sent(csv, quick):
            yield _without_record(root, csv, name)
        return
    where_from = f"Restore {record} (git, or a teammate's copy); or delete it and {csv.name}."
    content, failed = attempt(record, partial(_read, record), where_from)
    yield from failed
    if not csv.exists():
        again = Commands(root, name).rebuild(csv.name)
        advice = f"Run: {again} (makes the same bytes again); or delete {record}."
        yield problem(csv, "is missing, its provenance is there", advice)
    elif content is not None:
        yield from _same_file(csv, record, content, quick)
    if content is not None:
        yield from guarded(csv, _members(root, csv, name, content))
        yield from _doubts(csv, content)


def _without_record(root: Path, csv: Path, name: str) -> Finding:
    if not name:
        what = "has no provenance beside it and is not named as pipeline.ensemble names its files"
        advice = "Move it elsewhere if it is yours; or restore its name; or, if it was sent, enter "
        return problem(csv, what, f"{advice}it: python -m pipeline.ledger add {csv.name}")
    command = Commands(root, name).ensemble()
    advice = (
        f"Do not send it as it is. Run: {command} (writes the provenance if the blend gives these "
        f"bytes, else a new submission); or restore {csv.with_suffix('.json').name}; or delete it."
    )
    what = "has no provenance beside it: its writer was stopped between the two, or it is lost"
    return note(csv, what, advice)


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content.get("sha256"), str):
        raise ArtifactError(f"{path} does not hold the SHA-256 of its submission")
    return content


def _same_file(
    csv: Path, record: Path, content: Mapping[str, Any], quick: bool
) -> Iterator[Finding]:
    if content.get("file", csv.name) != csv.name:
        advice = "Rename both files back, or delete the copy."
        yield problem(record, f"is the provenance of {content['file']}", advice)
    if not quick and (changed := not_as_written(csv, content["sha256"], quick)):
        advice = (
            "Do not send it. Restore it (git, or a teammate's copy); or delete it and "
            f"{record.name} and run pipeline.ensemble for a new one."
        )
        yield problem(csv, changed, advice)


def _members(root: Path, csv: Path, name: str, content: Mapping[str, Any]) -> Iterator[Finding]:
    """A note where today's runs are not those that the submission was made from."""
    changed = []
    for member in content.get("members", []):
        path = Paths(root, name).run_manifest(member["name"])
        try:
            parts = read_json(path)["parts"]
        except (PipelineError, KeyError, OSError):
            changed.append(f"{member['name']} has no run.json to read any more")
            continue
        if parts != member["parts"]:
            changed.append(f"{member['name']} has other predictions than then")
    if changed:
        what = f"cannot be rebuilt from today's runs: {'; '.join(changed)}"
        yield note(csv, what, "Nothing, the file stands for itself; a new blend will differ.")


def _doubts(csv: Path, content: Mapping[str, Any]) -> Iterator[Finding]:
    """A note where a member's own score was in doubt when the file was written."""
    scores = content.get("scores")
    doubts = scores.get("doubts") if isinstance(scores, dict) else None
    if doubts and isinstance(doubts, list):
        told = "; ".join(f"{each.get('run')}: {each.get('says')}" for each in doubts)
        yield note(csv, f"has no honest score: {told}", "Do not choose by it; blend without it.")


def submissions(folder: Path) -> tuple[dict[str, list[Path]], list[Finding]]:
    """Competition -> its submissions (there or not), and what could not be read."""
    paths, findings = attempt(folder, partial(ours, folder))
    found: dict[str, set[Path]] = {}
    for path in paths or []:
        if name := ledger_of(path):
            found.setdefault(name, set())
        elif path.suffix in SUFFIXES or competition_of(path):
            csv = beside(path.with_suffix(".json")) if path.suffix == ".json" else path
            found.setdefault(competition_of(path), set()).add(csv)
    return {name: sorted(files) for name, files in sorted(found.items())}, findings
