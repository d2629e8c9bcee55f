"""The page about errors: which rows the ensemble gets wrong, and where such rows are many.

What an error is, is said by `wrong`.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np

from pipeline.report.drawn.charts import Tips, bars, dots, ranges
from pipeline.report.drawn.curves import spread, thresholds
from pipeline.report.drawn.disk import Disk
from pipeline.report.drawn.document import Block, Cards, Cell, Says, Table, clean, num, text
from pipeline.report.drawn.row_errors import Errors, Slice, errors_of
from pipeline.report.ensemble import happened

WORST, DOUBTFUL, POINTS = 100, 50, 1200
FEW_ROWS = 20
"""A slice of fewer rows says nothing."""
LEVELS, PARTS = (2, 20), 12
CALIBRATION = 10


def errors(disk: Disk) -> Iterator[Block]:
    """Scatter or confusion, calibration, slices, the worst rows, doubtful labels."""
    disk.need_runs()
    found = errors_of(disk)
    off = found.of(found.predicted)
    order = np.argsort(-np.nan_to_num(off, nan=-1.0), kind="stable")
    worst = [row for row in order[:WORST].tolist() if off[row] > 0]
    yield Cards(
        cards=[
            ("mean error", f"{np.nanmean(off):.4f}", found.unit),
            ("half of the rows", f"{np.nanmedian(off):.4f}", "have a smaller error"),
            ("one row in twenty", f"{np.nanquantile(off, 0.95):.4f}", "has a larger error"),
            ("share of the worst", f"{_share(off):.0%}", "of all errors come from 5 % of rows"),
        ]
    )
    yield from PICTURES[disk.shape](disk, found, worst)
    yield from _slices(disk, found, off)
    named = [*found.names, *disk.competition.columns.texts]
    header = ["row", "error", "label", "ensemble", *map(clean, named)]
    yield Table(
        title=f"The {len(worst)} worst rows",
        header=header,
        rows=[_row(found, row, off[row]) for row in worst],
        ids=[f"row-{row}" for row in worst],
        says=["honest predictions, of the ensemble and of each run alone"],
    )
    yield from _doubtful(disk, found)


def _share(off: np.ndarray) -> float:
    known = np.sort(off[np.isfinite(off)])
    top = known[len(known) - max(1, len(known) // 20) :]
    return float(top.sum() / max(known.sum(), np.finfo(float).tiny))


def _row(found: Errors, row: int, off: float) -> list[Cell]:
    return [
        text(found.rows.ids[row], longest=60),
        num(off),
        text(found.label(row), longest=300),
        text(found.said(found.predicted[row])),
        *(text(found.said(member[row])) for member in found.members),
        *(text(each) for each in found.rows.texts[row]),
    ]


def _picture(disk: Disk, found: Errors, worst: Sequence[int]) -> Iterator[Block]:
    """What was predicted against what is true."""
    if found.kind.numeric:
        for place, name in enumerate(found.outputs[:3]):
            yield _scatter(found, worst, place, name)
            yield _levels(found, place, name)
            yield spread(place, name, found.target[:, place], found.predicted[:, place])
        return
    if found.kind.exclusive or len(found.outputs) == 1:
        yield _confusion(found)
    yield _reliability(found)
    yield from thresholds(found.target, found.predicted, found.outputs)


def _fates(disk: Disk, found: Errors, worst: Sequence[int]) -> Iterator[Block]:
    """What happened to entities, or answers."""
    told = happened(disk.outcome)
    assert told is not None, "rows are units"
    names, counts = told
    rows = [
        [
            text(name, longest=60),
            *(num(each, ",.0f", heat=round(70 * each / max(sum(line), 1))) for each in line),
        ]
        for name, line in counts.items()
    ]
    yield Table(
        title="What happened to honest predictions",
        header=["", *names],
        rows=rows,
        says=["each entity or answer once, and such as were found where none is"],
    )


def _nothing(disk: Disk, found: Errors, worst: Sequence[int]) -> Iterator[Block]:
    """Texts have no picture."""
    yield from ()


PICTURES = {"numbers": _picture, "texts": _nothing, "documents": _fates}
"""What rows are (`Disk.shape`) -> what is drawn of them."""


def _scatter(found: Errors, worst: Sequence[int], place: int, name: str) -> Block:
    random = np.random.default_rng(0)
    n = len(found.truth)
    bad = np.array(worst, dtype=int)
    others = np.setdiff1d(np.arange(n), bad)
    if len(others) > POINTS:
        others = np.sort(random.choice(others, POINTS, replace=False))
    series = []
    for who, rows in (("rows" if len(others) == n else "a sample", others), ("the worst", bad)):
        told: Tips = [
            [
                f"{clean(found.rows.ids[row], 40)}: label {found.target[row, place]:g}, "
                f"predicted {found.predicted[row, place]:.2f}\n"
                f"{clean(' | '.join(found.rows.texts[row]), 110)}",
                f"row-{row}" if who == "the worst" else "",
            ]
            for row in rows
        ]
        series.append((who, found.target[rows, place], found.predicted[rows, place], told))
    return dots(
        f"scatter{place}",
        f"Label against honest prediction: {clean(name, 40)}",
        series,
        ("label", "predicted"),
        diagonal=True,
        says=["a point of the worst rows leads to its row below"],
    )


def _levels(found: Errors, place: int, name: str) -> Block:
    """Calibration of a number: the mean label of rows that are predicted alike."""
    guess, truth = found.predicted[:, place], found.target[:, place]
    edges = np.quantile(guess, np.linspace(0, 1, CALIBRATION + 1)[1:-1])
    part = np.searchsorted(edges, guess, side="right")
    return _line(f"levels{place}", f"Calibration: {clean(name, 40)}", guess, truth, part, "label")


def _reliability(found: Errors) -> Block:
    """Calibration of probabilities: how often what was given p comes true."""
    guess, truth = found.predicted.ravel(), found.target.ravel()
    part = np.minimum((guess * CALIBRATION).astype(int), CALIBRATION - 1)
    return _line("reliability", "Calibration of probabilities", guess, truth, part, "share true")


def _line(
    name: str, title: str, guess: np.ndarray, truth: np.ndarray, part: np.ndarray, what: str
) -> Block:
    there = [each for each in np.unique(part) if (part == each).any()]
    x = np.array([guess[part == each].mean() for each in there])
    y = np.array([truth[part == each].mean() for each in there])
    told = [
        [f"predicted {a:.3f}, {what} {b:.3f} ({(part == each).sum():,} cells)", ""]
        for each, a, b in zip(there, x, y, strict=True)
    ]
    says = ["on the line: predictions mean what they say"]
    return dots(
        name,
        title,
        [("honest predictions", x, y, told)],
        ("mean prediction", f"mean {what}"),
        diagonal=True,
        joined=True,
        says=says,
    )


MOST_CLASSES, MOST_SLICES = 40, 18


def _confusion(found: Errors) -> Block:
    """Rows of each class by the class that was predicted."""
    k = len(found.outputs)
    labels = found.kind.as_labels(found.predicted, (0.0, 1.0))
    if k == 1:
        names = list(found.classes) or ["0", "1"]
        truth, guess = found.target[:, 0].astype(int), labels[:, 0].astype(int)
    else:
        names = list(found.outputs)
        truth, guess = found.target.argmax(axis=1), labels.argmax(axis=1)
    size = len(names)
    counts = np.bincount(truth * size + guess, minlength=size * size).reshape(size, size)
    if size > MOST_CLASSES:
        return _mixed_up(counts, names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        [
            text(name, longest=40),
            *(
                num(counts[place, other], ",.0f", heat=round(70 * shares[place, other]))
                for other in range(size)
            ),
            num(shares[place, place], ".1%"),
        ]
        for place, name in enumerate(names)
    ]
    header = ["true \\ predicted", *(clean(name, 24) for name in names), "right"]
    return Table(title="Confusion: rows by true and predicted class", header=header, rows=rows)


def _mixed_up(counts: np.ndarray, names: Sequence[str]) -> Block:
    """Of very many classes, the pairs that are taken for each other most."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    top = np.argsort(-wrong, axis=None)[:40]
    pairs = [divmod(int(each), len(names)) for each in top if wrong.ravel()[each]]
    rows = [
        [text(names[a], longest=60), text(names[b], longest=60), num(wrong[a, b], ",.0f")]
        for a, b in pairs
    ]
    return Table(title="Classes taken for others", header=["true", "predicted", "rows"], rows=rows)


def slices_of(disk: Disk, found: Errors) -> Iterator[Slice]:
    """By label, length, overlap, language, further columns and folds."""
    yield from found.label_slices(disk.competition.columns.targets)
    if found.facts is not None:
        count = len(found.facts.names) - len(found.facts.levels)
        for place, name in enumerate(found.facts.names[:count]):
            yield from _quarters(name, found.facts.values[:, place])
    written = np.array([alphabet_of(" ".join(row)) for row in found.rows.texts], dtype=object)
    columns = {"alphabet": written} | {clean(k): v for k, v in found.rows.features.items()}
    for name, column in columns.items():
        values, part = np.unique(column.astype(str), return_inverse=True)
        if LEVELS[0] <= len(values) <= LEVELS[1]:
            for place, value in enumerate(values):
                yield name, str(value) or "(empty)", part == place
    for fold in np.unique(found.fold_of_row).tolist():
        yield "fold", str(fold), found.fold_of_row == fold


def alphabet_of(text: str) -> str:
    """What most letters of *text* are written in, by their names in Unicode: as much of its
    language as can be told from the letters alone; empty where it has none.

    >>> alphabet_of("비행기가 A320 위에"), alphabet_of("a plane"), alphabet_of("42")
    ('hangul', 'latin', '')
    """
    found = Counter(filter(None, map(_alphabet, text)))
    return found.most_common(1)[0][0] if found else ""


@cache
def _alphabet(letter: str) -> str:
    return unicodedata.name(letter, " ").split(" ")[0].lower() if letter.isalpha() else ""


def _quarters(name: str, values: np.ndarray) -> Iterator[Slice]:
    """Rows by the quarter in which a number lies."""
    edges = np.unique(np.quantile(values, (0.25, 0.5, 0.75)))
    part = np.searchsorted(edges, values, side="right")
    logs = name == "length"
    for place in range(len(edges) + 1):
        here = part == place
        if here.any():
            low, high = values[here].min(), values[here].max()
            if logs:
                low, high = np.expm1(low), np.expm1(high)
            ends = f"{low:.0f} to {high:.0f}" if logs else f"{low:.2f} to {high:.2f}"
            unit = {"length": " characters", "length difference": " (logs)"}.get(name, "")
            yield name, f"{ends}{unit}", here


def _slices(disk: Disk, found: Errors, off: np.ndarray) -> Iterator[Block]:
    """The error of each slice, with its range, and of each run there."""
    metric = found.metric
    of_members = [found.of(member) for member in found.members]
    rows, drawn = [], []
    whole = float(np.nanmean(off))
    for by, name, here in slices_of(disk, found):
        count = int(here.sum())
        if count < FEW_ROWS:
            continue
        mean = float(off[here].mean())
        reach = 1.96 * float(off[here].std()) / np.sqrt(count)
        drawn.append((f"{by}: {name}", mean, (mean - reach, mean + reach)))
        rows.append(
            [
                Cell(text=by),
                Cell(text=clean(name, 60) if by != "length" else name),
                num(count, ",.0f"),
                num(mean),
                num(mean / whole if whole else None, ".2f"),
                num(found.score(here)),
                *(num(float(each[here].mean())) for each in of_members),
            ]
        )
    if not drawn:
        yield Says(says=["there are too few rows to cut them into slices"])
        return
    drawn.sort(key=lambda each: -each[1])
    shown = drawn[:MOST_SLICES]
    yield ranges(
        "slices",
        "Mean error by slice, the worst first",
        [each[0] for each in shown],
        [each[1] for each in shown],
        [each[2] for each in shown],
        axis="mean error; bar: 95 % interval",
        says=[f"the mean over all rows is {whole:.4f}"],
    )
    names, share = _sizes(off[np.isfinite(off)])
    yield bars("errorsizes", "How large errors are: share of rows", names, {"rows": share})
    header = ["by", "slice", "rows", "mean error", "times the mean", f"{metric.name} in it"]
    yield Table(
        title="Slices",
        header=[*header, *map(clean, found.names)],
        rows=rows,
        says=[
            f"{metric.name} inside a slice of labels says little, as the labels there are alike; "
            "below a run's name stands its own mean error"
        ],
    )


def _sizes(off: np.ndarray) -> tuple[list[str], list[float]]:
    """How large the errors *off*, (n,), are, and the share of rows: each size alone where there are
    few, such as of counts.

    >>> _sizes(np.array([0.0, 0.0, 2.0, 1.0]))
    (['0', '1', '2'], [0.5, 0.25, 0.25])
    """
    sizes, counts = np.unique(off, return_counts=True)
    names = [f"{size:g}" for size in sizes]
    if len(sizes) > PARTS:
        counts, edges = np.histogram(off, bins=PARTS)
        names = [f"{a:.2f} to {b:.2f}" for a, b in pairwise(edges)]
    return names, (counts / max(counts.sum(), 1)).tolist()


def _doubtful(disk: Disk, found: Errors) -> Iterator[Block]:
    """Rows that every run gets wrong: where all agree against it, the label may be at fault."""
    if len(found.members) < 2:
        yield Says(
            title="Doubtful labels",
            says=["it takes two runs to doubt a label: where all agree against it"],
        )
        return
    least = np.min([found.of(member) for member in found.members], axis=0)
    order = np.argsort(-np.nan_to_num(least, nan=-1.0), kind="stable")[:DOUBTFUL]
    order = order[least[order] > 0]
    named = [*found.names, *disk.competition.columns.texts]
    header = ["row", "least error", "label", "ensemble", *map(clean, named)]
    yield Table(
        title="Doubtful labels",
        header=header,
        rows=[_row(found, row, least[row]) for row in order.tolist()],
        says=[
            "rows that no run comes near to: read them; the label may be wrong, or all runs lack "
            "the same thing. Labels are never changed here"
        ],
    )
