"""What is kept of each audit, and the page of `python -m benchmarks.audits`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.audits.faults import FAULTS, LEAKS
from benchmarks.shared.machine import machine_line

HONEST = ("alone", "beside others")
STRONGER = ("trained on three times the rows", "the mean of three beside one")
HALF = 0.5


@dataclass(frozen=True)
class Line:
    """One file that was audited."""

    name: str
    """Of the competition."""
    what: str
    """The fault, or "alone" or "beside others" of an honest file."""
    model: str
    verdict: str
    accused: tuple[tuple[str, str, str], ...]
    """(check, warning, unproven or out; what it says)."""
    removed: float
    """Share of the squared error that the best other run leaves which the file removes."""


def page(lines: Sequence[Line], rows: Mapping[str, int]) -> str:
    """Everything in Markdown."""
    names = list(dict.fromkeys(line.name for line in lines))
    cut = ", ".join(f"{count:,} {part}" for part, count in rows.items())
    honest = sum(line.what in HONEST for line in lines)
    return "\n".join(
        [
            "# The audit of a team-mate's file: false alarms, and faults seen",
            "",
            f"`python -m benchmarks.audits {' '.join(names)} --root ROOT --write`. "
            f"{machine_line('scikit-learn')}",
            "",
            f"Worlds of {cut} rows, whole groups, cut from the train files of practice "
            "competitions; in each four models of different kinds on TF-IDF, trained on five folds "
            "of the world. *alone*: no other run is there; *beside others*: the other three are.",
            "",
            "## Honest files",
            "",
            f"{honest:,} audits; how often the verdict was not *in*, in per cent of the files.",
            "",
            *_honest(lines, names),
            "",
            "By check, all competitions together, files beside others:",
            "",
            *_checks(lines),
            "",
            "Honest files that are truly stronger, beside weaker ones:",
            "",
            *_stronger(lines),
            "",
            "## Files that have seen labels, beside three others",
            "",
            "*seen*: out or unproven, so in no honest score. By the share of the squared error of "
            "the best other run that the file removes.",
            "",
            *_leaks(lines),
            "",
            "## Spoiled files, beside three others",
            "",
            "*seen*: out, unproven, or in with a warning. The folds stand in every file.",
            "",
            *_faults(lines, names),
        ]
    )


def graded(line: Line) -> str:
    """The verdict, with warnings told apart."""
    return "warned" if line.verdict == "in" and line.accused else line.verdict


def _honest(lines: Sequence[Line], names: Sequence[str]) -> list[str]:
    text = [
        "| competition | files | alone: warned | unproven | out | beside others: warned | unproven "
        "| out |"
    ]
    text.append("| --- |" + " --- |" * 7)
    for name in [*names, "all"]:
        cells = []
        for what in HONEST:
            here = [line for line in lines if line.what == what and name in (line.name, "all")]
            verdicts = Counter(graded(line) for line in here)
            cells += [_share(verdicts[each], len(here)) for each in ("warned", "unproven", "out")]
        text.append(f"| {name} | {len(here)} | {' | '.join(cells)} |")
    return text


def _stronger(lines: Sequence[Line]) -> list[str]:
    text = ["| file | files | error removed, median | warned | unproven | out |"]
    text.append("| --- |" + " --- |" * 5)
    for what in STRONGER:
        here = [line for line in lines if line.what == what]
        verdicts = Counter(graded(line) for line in here)
        cells = [_share(verdicts[each], len(here)) for each in ("warned", "unproven", "out")]
        middle = f"{100 * median(line.removed for line in here):.0f} %" if here else "–"
        text.append(f"| {what} | {len(here)} | {middle} | {' | '.join(cells)} |")
    return text


def _leaks(lines: Sequence[Line]) -> list[str]:
    text = ["| file | files | seen | of those that remove half or more | seen |"]
    text.append("| --- |" + " --- |" * 4)
    for what in [*LEAKS, "all of them"]:
        here = [line for line in lines if line.what == what or what not in LEAKS]
        here = [line for line in here if line.what in LEAKS]
        much = [line for line in here if line.removed >= HALF]
        cells = [_doubted(here), str(len(much)), _doubted(much)]
        text.append(f"| {what} | {len(here)} | {' | '.join(cells)} |")
    return text


def _doubted(lines: Sequence[Line]) -> str:
    return _share(sum(line.verdict != "in" for line in lines), len(lines))


def _checks(lines: Sequence[Line]) -> list[str]:
    here = [line for line in lines if line.what == HONEST[1]]
    told = Counter(
        (check, grade)
        for line in here
        for check, grade in {(each[0], each[1]) for each in line.accused}
    )
    checks = sorted({check for check, _ in told})
    text = ["| check | warned | unproven | out |", "| --- | --- | --- | --- |"]
    for check in checks:
        cells = [_share(told[check, grade], len(here)) for grade in ("warning", "unproven", "out")]
        text.append(f"| {check} | {' | '.join(cells)} |")
    return text if checks else ["None accused any."]


def _faults(lines: Sequence[Line], names: Sequence[str]) -> list[str]:
    text = [
        "| fault | files | out | unproven | warned | unseen | seen, by competition: "
        f"{', '.join(names)} |"
    ]
    text.append("| --- |" + " --- |" * 6)
    for fault in FAULTS:
        here = [line for line in lines if line.what == fault]
        if not here:
            continue
        verdicts = Counter(graded(line) for line in here)
        grades = ("out", "unproven", "warned", "in")
        cells = [_share(verdicts[each], len(here)) for each in grades]
        apart = [_seen([line for line in here if line.name == name]) for name in names]
        text.append(f"| {fault} | {len(here)} | {' | '.join(cells)} | {', '.join(apart)} |")
    return text


def _seen(lines: Sequence[Line]) -> str:
    return _share(sum(graded(line) != "in" for line in lines), len(lines)) if lines else "–"


def _share(count: int, files: int) -> str:
    return f"{100 * count / files:.1f}" if files else "–"
