"""The pages about the ensemble and the leaderboard, and the ensemble in one picture."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.ensemble import Outcome
from pipeline.ensemble.assessment import DRAWS, shown_weights, weight_spread
from pipeline.ensemble.forecast.ranges import INSIDE
from pipeline.ensemble.methods.registry import METHODS
from pipeline.ensemble.methods.weights import picks
from pipeline.ensemble.texts.outcome import TextOutcome
from pipeline.report import ensemble as printed
from pipeline.report import ledger as ledger_page
from pipeline.report.drawn.charts import Tips, dots, ranges
from pipeline.report.drawn.disk import Disk
from pipeline.report.drawn.document import Block, Cards, Says, Table, clean, num, text
from pipeline.report.ensemble_answer import answer_lines, leaderboard_sentences
from pipeline.report.texts.ensemble import text_lines
from pipeline.submissions.ledger import today
from pipeline.submissions.overview import Expected, noise, standing

PATIENCE = 6.0
"""Seconds that refitting the weights may take."""


def ensemble(disk: Disk) -> Iterator[Block]:
    """Weights, methods, correlations, worth of each run, the path of the greedy picks."""
    disk.need_runs()
    yield from SHOWN[disk.shape](disk)


def _cards(disk: Disk, optimism: float | None) -> Block:
    outcome = disk.made.outcome
    gain = outcome.over_single
    return Cards(
        cards=[
            (f"{_word(disk)} {outcome.metric.name}", _score(outcome.honest), disk.made.method),
            ("in-sample", _score(outcome.in_sample), "fitted and scored on the same rows"),
            ("in-sample flatters by", f"{optimism or 0:+.5f}", "above 0: too good"),
            (
                "gain over the best run",
                f"{gain.difference:+.5f}",
                f"95 %: {gain.low:+.5f} to {gain.high:+.5f}",
            ),
        ]
    )


def _word(disk: Disk) -> str:
    return "claimed" if disk.made.outcome.doubts else "honest"


def _worths(disk: Disk) -> Iterator[Block]:
    worths = [line.worth for line in disk.made.lines]
    if any(worth is not None for worth in worths):
        yield ranges(
            "worth",
            f"What each run is worth: {_word(disk)} {disk.metric.name} lost without it",
            [clean(line.name) for line in disk.made.lines],
            [None if worth is None else worth.difference for worth in worths],
            [None if worth is None else (worth.low, worth.high) for worth in worths],
            zero=True,
            form="+.5f",
            says=["bar: 95 % interval; right of 0 the run helps for sure"],
        )


def _texts(disk: Disk) -> Iterator[Block]:
    """The page of texts: what is taken, worth of each run, methods, other metrics."""
    outcome, word = disk.texts, _word(disk)
    yield _cards(disk, outcome.metric.as_gain(outcome.in_sample - outcome.honest))
    lines = [" ".join(each.split()) for each in text_lines(outcome) if isinstance(each, str)]
    expected = [" ".join(each.split()) for each in leaderboard_sentences(outcome)]
    yield Says(
        says=[each for each in lines if each and each not in expected],
        warns=[f"{run}: {doubt.says}" for run, doubt in outcome.doubts],
    )
    rows = [
        [text(line.name), num(line.score), num(line.alone), num(line.weight, ".3f")]
        for line in outcome.members
    ]
    header = ["run", "first candidate", "own consensus", "weight"]
    yield Table(title="Runs in the blend", header=header, rows=rows)
    yield from _worths(disk)
    yield _methods(outcome.methods, outcome.method, word)
    rows = [
        [text(name), *(num(each) for one in pair for each in (one.score, one.low, one.high))]
        for name, pair in outcome.others.items()
    ]
    ends = ["lower end", "upper end"]
    header = ["metric", word, *ends, "best single model", *ends]
    yield Table(title="The same texts by other metrics", header=header, rows=rows)
    yield Says(title="What the leaderboard will say", says=expected)


def _numbers(disk: Disk) -> Iterator[Block]:
    outcome = disk.outcome
    assessment, word = outcome.assessment, _word(disk)
    yield _cards(disk, outcome.optimism)
    yield Says(
        says=[
            *(" ".join(line.split()) for line in answer_lines(outcome) if line[:4] != "next"),
            f"method {assessment.method}: {assessment.reason}",
            *(" ".join(str(each).split()) for each in printed.decision_sentences(outcome)),
            *outcome.notes,
        ],
        warns=[f"{run}: {doubt.says}" for run, doubt in outcome.doubts],
    )
    yield _weights(disk, outcome)
    yield from _worths(disk)
    yield _methods(assessment.methods, assessment.method, word)
    if len(outcome.names) > 1:
        yield _correlation(outcome)
        yield from _greedy(outcome)
    lines = [" ".join(str(each).split()) for each in printed.leaderboard_sentences(outcome)]
    yield Says(title="What the leaderboard will say", says=lines)


SHOWN = {"numbers": _numbers, "documents": _numbers, "texts": _texts}
"""What rows are (`Disk.shape`) -> the page."""


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _weights(disk: Disk, outcome: Outcome) -> Block:
    """The weights, and how far they move when the rows are drawn anew."""
    evidence, assessment = outcome.assessment.nest.evidence, outcome.assessment
    names = [clean(name) for name in evidence.names]
    shown = shown_weights(evidence, assessment.blend.weights)
    began = time.monotonic()
    METHODS[assessment.method].fit(evidence, evidence.folds)
    each = max(time.monotonic() - began, 0.002) * 1.5 + 2e-8 * evidence.cells
    draws = min(DRAWS, int(PATIENCE / each))
    reach: list[tuple[float, float] | None] = [None] * len(names)
    says = ["refitting the weights would take too long here, so their spread is not drawn"]
    if draws >= 20:
        drawn = weight_spread(evidence, assessment.method, disk.competition.folds.seed, draws)
        low, high = np.percentile(shown_weights(evidence, drawn), [2.5, 97.5], axis=0)
        reach = list(zip(low.tolist(), high.tolist(), strict=True))
        says = [f"bar: 95 % of {draws} refits on groups of rows that are drawn anew"]
    title = f"Weights of {assessment.method}"
    return ranges("weights", title, names, shown.tolist(), reach, zero=True, form=".3f", says=says)


def _methods(lines: Sequence[Any], chosen: str, word: str) -> Block:
    rows = [
        [
            text(line.name + (" (chosen)" if line.name == chosen else "")),
            num(line.in_sample),
            num(line.honest),
            num(line.optimism, "+.5f"),
            num(line.over_best.difference, "+.5f"),
            num(line.over_best.error, ".5f"),
        ]
        for line in lines
    ]
    header = ["method", "in-sample", word, "flatters by", "gain over best", "± se"]
    return Table(title=f"Methods: {word} against in-sample", header=header, rows=rows)


def _correlation(outcome: Outcome) -> Block:
    """How alike the errors of the runs are: low pairs are what a blend lives from."""
    found, names = outcome.assessment.correlation, outcome.members.names
    low = min(float(found.min()), 0.9)
    rows = [
        [
            text(f"{place + 1} {name}"),
            *(num(value, ".2f", heat=round(65 * (value - low) / (1 - low))) for value in line),
        ]
        for place, (name, line) in enumerate(zip(names, found.tolist(), strict=True))
    ]
    header = ["run", *(str(place + 1) for place in range(len(names)))]
    return Table(title="Correlation of errors", header=header, rows=rows)


def _greedy(outcome: Outcome) -> Iterator[Block]:
    """Which run the greedy search picks next, and what the blend then scores in-sample."""
    evidence = outcome.assessment.nest.evidence
    chosen, gains = picks(evidence, evidence.folds)
    told: Tips = [
        [f"pick {step}: {clean(evidence.names[pick], 80)}, {gain:.5f}", ""]
        for step, (pick, gain) in enumerate(zip(chosen, gains, strict=True), 1)
    ]
    x = np.arange(1, len(chosen) + 1)
    counts = np.bincount(chosen, minlength=len(evidence.names))
    often = ", ".join(
        f"{clean(evidence.names[place], 40)} {counts[place]}×"
        for place in np.argsort(-counts, kind="stable")
        if counts[place]
    )
    axes = ("pick", "in-sample gain (larger is better)")
    if len(chosen) < 2:
        return  # the best run alone: no path
    yield dots(
        "greedy",
        "Path of the greedy picks",
        [("", x, np.array(gains), told)],
        axes,
        joined=True,
        says=[f"picked: {often}. In-sample: the path shows the order, not what is to be expected"],
    )


def leaderboard(disk: Disk, quick: bool) -> Iterator[Block]:
    """The ledger beside what was expected, the budget, and what is noise."""
    competition = disk.competition
    found = standing(disk.paths.submissions, competition.name, competition.submissions, today())
    lines = found.lines
    stray, why = None, "left out (--quick)" if quick else "it takes two files of ours"
    if found.rows is None:
        why = "submissions.public_share or submissions.public_rows tells the public part"
    elif lines and not quick:
        seed, better = competition.folds.seed, disk.metric.greater_is_better
        stray = noise(disk.root, lines, found.rows[0], seed, better)
    told = [" ".join(each.split()) for each in ledger_page.lines(found, stray, why)]
    warned = [each[2:] for each in told if each.startswith("! ")]
    yield Says(says=[each for each in told if not each.startswith("! ")], warns=warned)
    for part in ("public", "private"):
        shown = [
            line
            for line in lines
            if getattr(line.entry, part) is not None or line.expected.get(part) is not None
        ][-30:]
        if shown:
            yield ranges(
                f"board{part}",
                f"The {part} score against what was expected",
                [f"{line.number} {line.entry.file}" for line in shown],
                [getattr(line.entry, part) for line in shown],
                [_range(line.expected.get(part)) for line in shown],
                others={
                    "expected": [
                        None if (each := line.expected.get(part)) is None else each.score
                        for line in shown
                    ]
                },
                says=[f"filled: the score; hollow: expected; bar: {INSIDE} % range"],
            )
    if lines:
        header = ["", "file", "method", "honest", "expected public", "public"]
        header += ["expected private", "private", "sent by", "day"]
        rows = [
            [
                num(line.number, "d"),
                text(line.entry.file, longest=80),
                text(line.method or "–"),
                num(line.honest),
                text(ledger_page.range_text(line.expected.get("public"))),
                num(line.entry.public),
                text(ledger_page.range_text(line.expected.get("private"))),
                num(line.entry.private),
                text(line.entry.by or "–", longest=40),
                text(line.entry.day),
            ]
            for line in lines
        ]
        yield Table(title="What was sent", header=header, rows=rows)


def _range(expected: Expected | None) -> tuple[float, float] | None:
    if expected is None or expected.low is None or expected.high is None:
        return None
    return expected.low, expected.high


# The ensemble in one picture: how alike the members err, how sure their weights are, and how far
# in-sample scores flatter.


INK, FAINT, STRONG = "#222222", "#b8b8b8", "#1f6f8b"
LONGEST = 28  # characters of a name
AGREEING = 300  # rows, about, whose texts are compared with each other


def draw(outcome: Outcome | TextOutcome, path: Path, seed: int, title: str = "") -> None:
    """Write the figure to *path*; its suffix says the format (png, svg, pdf)."""
    names = [name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in outcome.names]
    with mpl.rc_context(
        {
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "foldstack",
        }
    ):
        tall = max(3.2, 0.34 * len(names) + 1.4)
        figure = Figure(figsize=(14, tall), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.1, 1, 1.15])
        if isinstance(outcome, TextOutcome):
            _draw_matrix(left, names, _agreement(outcome))
            left.set_title(f"{outcome.metric.name} of first candidates, each against another's")
            _draw_worths(middle, outcome)
            _draw_methods(right, outcome, outcome.methods, outcome.method)
        else:
            _draw_matrix(left, names, outcome.assessment.correlation)
            left.set_title("correlation of the members' errors")
            _draw_weights(middle, names, outcome, seed)
            _draw_methods(right, outcome, outcome.assessment.methods, outcome.assessment.method)
        name = title or outcome.competition.name
        figure.suptitle(f"{name}: {len(names)} members, {outcome.metric.name}")
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)


def _agreement(outcome: TextOutcome) -> np.ndarray:
    """(M, M) the mean score of each member's first candidate with each other's as the only right
    answer, of some rows."""
    score, first = outcome.metric.formula.texts, [run.oof[0].best for run in outcome.runs]
    assert score is not None, "a metric of texts"
    rows = range(0, len(outcome.truth), max(len(outcome.truth) // AGREEING, 1))
    found = np.mean([score.between([each[row] for each in first]) for row in rows], axis=0)
    return np.asarray((found + found.T) / 2)


def _draw_worths(axes: Axes, outcome: TextOutcome) -> None:
    places = [place for place, line in enumerate(outcome.members) if line.worth is not None]
    known = [line.worth for line in outcome.members if line.worth is not None]
    axes.axvline(0, color=FAINT, linewidth=0.8)
    low, high = [each.low for each in known], [each.high for each in known]
    axes.hlines(places, low, high, color=FAINT, linewidth=5)
    axes.plot([each.difference for each in known], places, "o", color=STRONG)
    lines = enumerate(outcome.members)
    labels = [f"{place + 1}  ({line.weight:.2f})" for place, line in lines]
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("lost without it; bar: 95 %")
    axes.set_title(f"weights of {outcome.method}, and what each member is worth")


def _draw_matrix(axes: Axes, names: list[str], correlation: np.ndarray) -> None:
    low = min(0.8, float(correlation.min())) - 0.1
    axes.imshow(correlation, cmap="YlGnBu", vmin=low, vmax=1.1, aspect="auto")
    for row, column in np.ndindex(correlation.shape):
        value = correlation[row, column]
        ink = "white" if value > low + 0.6 * (1.1 - low) else INK
        if len(names) <= 14:
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=8)
    places = range(len(names))
    axes.set_xticks(places, [str(place + 1) for place in places])
    axes.set_yticks(places, [f"{name}  {place + 1}" for place, name in enumerate(names)])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _draw_weights(axes: Axes, names: list[str], outcome: Outcome, seed: int) -> None:
    assessment = outcome.assessment
    drawn = weight_spread(outcome.evidence, assessment.method, seed)
    low, high = np.percentile(shown_weights(outcome.evidence, drawn), [2.5, 97.5], axis=0)
    weights = shown_weights(outcome.evidence, assessment.blend.weights)
    places = np.arange(len(names))
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.hlines(places, low, high, color=FAINT, linewidth=5)
    axes.plot(weights, places, "o", color=STRONG)
    axes.set_yticks(places, [str(place + 1) for place in places])
    axes.invert_yaxis()
    axes.set_xlabel("weight; bar: 95 % of bootstrap refits over groups")
    axes.set_title(f"weights of {assessment.method}")


def _draw_methods(
    axes: Axes, outcome: Outcome | TextOutcome, methods: Sequence[Any], chosen: str
) -> None:
    word = "claimed" if outcome.doubts else "honest"
    lines = [line for line in methods if line.honest is not None]
    for place, line in enumerate(lines):
        flattered = line.honest if line.in_sample is None else line.in_sample
        axes.plot([line.honest, flattered], [place, place], color=FAINT, linewidth=2)
        axes.plot(flattered, place, "o", mfc="white", mec=STRONG)
        axes.plot(line.honest, place, "o", color=STRONG)
    axes.plot([], [], "o", color=STRONG, label=word)
    axes.plot([], [], "o", mfc="white", mec=STRONG, label="in-sample")
    labels = [line.name + (" *" if line.name == chosen else "") for line in lines]
    axes.set_yticks(range(len(lines)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.tick_params(axis="x", labelrotation=30)
    better = "right" if outcome.metric.greater_is_better else "left"
    axes.set_xlabel(f"{outcome.metric.name} (further {better} is better)")
    axes.set_title(f"{word} and in-sample, by method")
    axes.legend(frameon=False, fontsize=8, loc="best")
