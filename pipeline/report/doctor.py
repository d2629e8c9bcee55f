"""What `pipeline.doctor` shows: a line for each thing looked at, then what is wrong with it."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from pipeline.doctor import Finding, Scope, Section, Severity
from pipeline.report.page import plural

TITLES: dict[Severity, str] = {
    "problem": "damaged or not matching",
    "note": "harmless, good to know",
}


def print_checkup(sections: Sequence[Section], scope: Scope, console: Console) -> None:
    """Print every section's line, then problems, then notes, then the verdict."""
    for line in lines(sections, scope):
        console.print(line, soft_wrap=True)


def lines(sections: Sequence[Section], scope: Scope) -> Iterator[str]:
    """The page, a line each."""
    if not sections:
        yield f"there is nothing to look at under {scope.root}: no folds, no runs, no submissions"
        return
    yield from _overview(sections)
    for severity, title in TITLES.items():
        found = [each for section in sections for each in section.findings]
        found = [each for each in found if each.severity == severity]
        if found:
            yield ""
            yield f"{plural(len(found), severity)}: {title}"
            for finding in found:
                yield from _two_lines(finding)
    yield ""
    yield _verdict(sections, scope)


def _overview(sections: Sequence[Section]) -> Iterator[str]:
    subjects = max(len(_visible(section.subject)) for section in sections)
    counts = max(len(section.counts) for section in sections)
    above = None
    for section in sections:
        if section.competition != above:
            above = section.competition
            yield _visible(above) or "of no competition"
        subject = _visible(section.subject).ljust(subjects)
        yield f"  {subject}  {section.counts.ljust(counts)}  {_state(section)}".rstrip()


def _state(section: Section) -> str:
    counted = [(section.count(severity), severity) for severity in TITLES]
    told = [plural(count, severity) for count, severity in counted if count]
    return ", ".join(told) or "whole"


def _two_lines(finding: Finding) -> Iterator[str]:
    yield f"  {_visible(str(finding.path))} {_visible(finding.what)}"
    yield f"      → {_visible(finding.todo)}"


def _verdict(sections: Sequence[Section], scope: Scope) -> str:
    count = {each: sum(section.count(each) for section in sections) for each in TITLES}
    how = "; nothing was hashed (--quick)" if scope.quick else ""
    notes = f", {plural(count['note'], 'note')}" if count["note"] else ""
    if count["problem"]:
        return f"not consistent: {plural(count['problem'], 'problem')}{notes}{how}"
    return f"consistent{notes}{how}"


def _visible(text: str) -> str:
    """*text* on one line: a name on the disk may hold anything."""
    line = " ".join(text.splitlines())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def as_json(sections: Sequence[Section], scope: Scope) -> dict[str, Any]:
    """The same for programs."""
    return {
        "root": str(scope.root),
        "quick": scope.quick,
        "consistent": not any(section.count("problem") for section in sections),
        "sections": [
            {
                "competition": section.competition,
                "subject": section.subject,
                "counts": section.counts,
                "problems": section.count("problem"),
                "notes": section.count("note"),
            }
            for section in sections
        ],
        "findings": [
            {
                "severity": finding.severity,
                "competition": section.competition,
                "subject": section.subject,
                "path": str(finding.path),
                "what": finding.what,
                "todo": finding.todo,
            }
            for section in sections
            for finding in section.findings
        ],
    }
