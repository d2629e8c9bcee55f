"""What is kept of each audit, and the page of `python -m benchmarks.audits`."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.audits.answers import LEARNERS
from benchmarks.audits.faults import FAULTS, LEAKS
from benchmarks.shared.machine import machine_line

HONEST = ("alone", "beside others")
STRONGER = (
    "trained on three times the rows",
    "the mean of three beside one",
    "the mean of five beside one",
    "minilm beside n-grams",
    "minilm beside one",
)
HALF = 0.5


@dataclass(frozen=True)
class Line:
    """One file that was audited."""

    name: str
    """Of the competition."""
    rows: int
    """Of train."""
    what: str
    """The fault, or "alone" or "beside others" of an honest file."""
    model: str
    verdict: str
    accused: tuple[tuple[str, str, str], ...]
    """(check, warning, unproven or out; what it says)."""
    removed: float
    """Share of the squared error that the best other run leaves which the file removes."""
    honest: float
    """The same of the honest file of that model."""


def page(found: Sequence[Sequence[Line]], worlds: int, first: int = 0) -> str:
    """Everything in Markdown, from the lines of each world."""
    lines = [line for world in found for line in world]
    names = list(dict.fromkeys(line.name for line in lines))
    sizes = sorted({line.rows for line in lines})
    told = " ".join(f"{each}" for each in sizes)
    honest = sum(line.what in HONEST for line in lines)
    return "\n".join(
        [
            "# The audit of a team-mate's file: false alarms, and faults seen",
            "",
            f"`python -m benchmarks.audits {' '.join(names)} --root ROOT --rows {told} --worlds "
            f"{worlds}{f' --first {first}' * bool(first)} --write`. {machine_line('scikit-learn')}",
            "",
            f"Worlds of {', '.join(f'{each:,}' for each in sizes)} train rows, half as many test "
            "rows (60 at least), a quarter of holdout, whole groups, cut from the train files of "
            f"practice competitions: {worlds} of each competition and size. In each six models of "
            "different kinds on TF-IDF (stsb-en: and ridge on vectors of minilm), trained on "
            "five folds of the world. *alone*: no other run is there; *beside others*: three are.",
            "",
            "What else was tried, and where it fails: [audits-remarks.md](audits-remarks.md).",
            "",
            "## In short",
            "",
            "Kept out: unproven or out. The interval (95 %) is the wider one of that of so many "
            "files (Wilson) and that of worlds drawn anew, as files of one world are alike. A file "
            "that collapsed has a fold, or test, with one prediction for all rows: the audit says "
            "so, and no labels are in question.",
            "",
            *_in_short(found),
            "",
            "## Honest files",
            "",
            f"{honest:,} audits; how often the verdict was not *in*, in per cent of the files.",
            "",
            *_honest(lines, names, sizes),
            "",
            "By check, files beside others:",
            "",
            *_checks(lines),
            "",
            "Honest files that are truly stronger, beside weaker ones:",
            "",
            *_stronger(lines, sizes),
            "",
            "## Files that have seen labels, beside three others",
            "",
            "*seen*: out or unproven, so in no honest score. By the share of the squared error of "
            "the best other run that the file removes. Last, those of models that removed less "
            "than half honestly: an honest minilm removes so much that seeing labels adds little.",
            "",
            *_leaks(lines, sizes),
            "",
            "## The challenge",
            "",
            "Per cent of the files: passed, failed, no proof. What may pass are honest learners.",
            "",
            *_challenge(lines, sizes),
            "",
            "## Spoiled files, beside three others",
            "",
            "*seen*: out, unproven, or in with a warning. The folds stand in every file.",
            "",
            *_faults(lines, names),
        ]
    )


def _in_short(found: Sequence[Sequence[Line]]) -> list[str]:
    text = ["| files | what is counted | files | in per cent | interval |"]
    text.append("| --- |" + " --- |" * 4)
    for told, counted, chosen, hit in IN_SHORT:
        here = [np.array([hit(line) for line in world if chosen(line)]) for world in found]
        count, files = int(sum(each.sum() for each in here)), sum(map(len, here))
        if files:
            low, high = interval(here)
            cells = f"{files} | {100 * count / files:.1f} | {100 * low:.1f} to {100 * high:.1f}"
            text.append(f"| {told} | {counted} | {cells} |")
    return text


def interval(worlds: Sequence[np.ndarray], draws: int = 2000) -> tuple[float, float]:
    """95 % of a share, from whether each file of each world counts."""
    hits = np.array([[each.sum(), len(each)] for each in worlds], dtype=float)
    drawn = np.random.default_rng(0).integers(len(hits), size=(draws, len(hits)))
    counts = hits[drawn].sum(axis=1)
    low, high = np.quantile(counts[:, 0] / np.maximum(counts[:, 1], 1), [0.025, 0.975])
    share, files, z = hits[:, 0].sum() / hits[:, 1].sum(), hits[:, 1].sum(), 1.96
    middle = (share + z**2 / (2 * files)) / (1 + z**2 / files)
    half = z / (1 + z**2 / files) * np.sqrt(share * (1 - share) / files + (z / (2 * files)) ** 2)
    return float(min(low, max(middle - half, 0.0))), float(max(high, min(middle + half, 1.0)))


def _collapsed(line: Line) -> bool:
    said = (says for _, grade, says in line.accused if grade == "out")
    return any("predictions are the same in" in each or "collapsed" in each for each in said)


def _honest_file(line: Line) -> bool:
    return line.what in (*HONEST, *STRONGER)


IN_SHORT: tuple[tuple[str, str, Callable[[Line], bool], Callable[[Line], bool]], ...] = (
    (
        "have seen labels, remove half or more",
        "kept out",
        lambda line: line.what in LEAKS and line.removed >= HALF,
        lambda line: line.verdict != "in",
    ),
    (
        "the same, of models that remove less honestly",
        "kept out",
        lambda line: line.what in LEAKS and line.removed >= HALF > line.honest,
        lambda line: line.verdict != "in",
    ),
    (
        "have seen labels",
        "kept out",
        lambda line: line.what in LEAKS,
        lambda line: line.verdict != "in",
    ),
    ("honest", "unproven", _honest_file, lambda line: line.verdict == "unproven"),
    ("honest", "out", _honest_file, lambda line: line.verdict == "out"),
    (
        "honest, none collapsed",
        "out",
        lambda line: _honest_file(line) and not _collapsed(line),
        lambda line: line.verdict == "out",
    ),
    (
        "honest and stronger",
        "unproven or out",
        lambda line: line.what in STRONGER,
        lambda line: line.verdict != "in",
    ),
)
"""What the first table counts: of which files, and which of them."""


def graded(line: Line) -> str:
    """The verdict, with warnings told apart."""
    return "warned" if line.verdict == "in" and line.accused else line.verdict


def _honest(lines: Sequence[Line], names: Sequence[str], sizes: Sequence[int]) -> list[str]:
    text = [
        "| rows | competition | files | alone: warned | unproven | out | beside others: warned "
        "| unproven | out |"
    ]
    text.append("| --- |" + " --- |" * 8)
    groups = [(f"{size:,}", [line for line in lines if line.rows == size], "all") for size in sizes]
    groups += [("all", list(lines), name) for name in (*names, "all")]
    for told, chosen, name in groups:
        cells = []
        for what in HONEST:
            here = [line for line in chosen if line.what == what and name in (line.name, "all")]
            cells += _grades(here)
        text.append(f"| {told} | {name} | {len(here)} | {' | '.join(cells)} |")
    return text


def _grades(lines: Sequence[Line]) -> list[str]:
    verdicts = Counter(graded(line) for line in lines)
    return [_share(verdicts[each], len(lines)) for each in ("warned", "unproven", "out")]


def _stronger(lines: Sequence[Line], sizes: Sequence[int]) -> list[str]:
    text = ["| file | rows | files | error removed, median | warned | unproven | out |"]
    text.append("| --- |" + " --- |" * 6)
    groups = [
        (what, f"{size:,}", [line for line in lines if (line.what, line.rows) == (what, size)])
        for what in STRONGER
        for size in sizes
    ]
    groups.append(("all of them", "all", [line for line in lines if line.what in STRONGER]))
    for what, size, here in groups:
        if here:
            middle = f"{100 * median(line.removed for line in here):.0f} %"
            text.append(
                f"| {what} | {size} | {len(here)} | {middle} | {' | '.join(_grades(here))} |"
            )
    return text


def _leaks(lines: Sequence[Line], sizes: Sequence[int]) -> list[str]:
    text = ["| file | rows | files | seen | removing half or more | seen | honestly less | seen |"]
    text.append("| --- |" + " --- |" * 7)
    for what in [*LEAKS, "all of them"]:
        for size in [*sizes, 0]:
            here = [line for line in lines if line.what in LEAKS and size in (line.rows, 0)]
            here = [line for line in here if what in (line.what, "all of them")]
            much = [line for line in here if line.removed >= HALF]
            less = [line for line in much if line.honest < HALF]
            cells = [_doubted(here), str(len(much)), _doubted(much), str(len(less)), _doubted(less)]
            text.append(f"| {what} | {size or 'all'} | {len(here)} | {' | '.join(cells)} |")
    return text


def _challenge(lines: Sequence[Line], sizes: Sequence[int]) -> list[str]:
    verdicts = ("passed", "failed", "no proof")
    text = [f"| learners | {' | '.join(f'{size:,} rows' for size in sizes)} | files |"]
    text.append("| --- |" + " --- |" * (len(sizes) + 1))
    for what in LEARNERS:
        here = [line for line in lines if line.what == what]
        cells = []
        for size in sizes:
            found = [line.verdict for line in here if line.rows == size]
            cells.append(", ".join(_share(found.count(each), len(found)) for each in verdicts))
        text.append(f"| {what} | {' | '.join(cells)} | {len(here)} |")
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
