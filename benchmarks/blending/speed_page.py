"""The page of blend.py."""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.blending.simulated import FOLDS, OWN, SHARED
from benchmarks.shared.machine import machine_line

Cell = dict[str, Any]


def page_of(args: argparse.Namespace, found: Sequence[Cell]) -> str:
    """The whole of it."""
    lines = [*heading(found), *greedy_table(args, found), "", *parts_table(found), ""]
    return "\n".join([*lines, *weights_table(found), "", *speed_lines(args, found)]) + "\n"


def heading(found: Sequence[Cell]) -> list[str]:
    """What was measured."""
    caps = sorted({cell["cap"] for cell in found})
    sizes = {
        cap: ", ".join(f"{c['members']} x {c['rows']:,}" for c in found if c["cap"] == cap)
        for cap in caps
    }
    told = "; ".join(f"{cap:g} s ({each})" for cap, each in sizes.items())
    return [
        "# Fitting an ensemble",
        "",
        "`python -m benchmarks.blending.speed --members … --rows … --cap … --autogluon-python … "
        "--write`, called several times and put together: each size is from one call. Cap of a "
        f"greedy selection that goes on pick by pick, by members x rows: {told}; four caps end any "
        f"process (twenty ours, which is run whole). {_threads(found)} "
        f"{machine_line('scipy', 'scikit-learn')} autogluon.core 1.6.3 in an environment of its "
        "own.",
        "",
        f"Simulated: target of variance 1; each member is the target plus an error that all share "
        f"(standard deviation {SHARED}) plus its own ({OWN[0]} to {OWN[1]}); float32, "
        f"{FOLDS} folds. Ours reads them memory-mapped, the others from memory. Seconds of the "
        "clock, nothing else running: the median of up to five repeats (lowest–highest) after one "
        "that is not counted; one where it took more than 3 s. Memory is what the process adds to "
        "its "
        "libraries, with the members (ours: the pages of the file that were read).",
        "",
    ]


def _threads(found: Sequence[Cell]) -> str:
    counts = sorted({cell["threads"] for cell in found})
    return f"Every process may use {' or '.join(map(str, counts))} threads."


def greedy_table(args: argparse.Namespace, found: Sequence[Cell]) -> Iterator[str]:
    """Greedy selection, side by side."""
    yield f"## Greedy selection, {args.picks} picks"
    yield ""
    yield (
        "≈: extrapolated: stopped after as many picks as the cap allows (in brackets), its seconds "
        "multiplied up; its "
        "in-sample scores are of these picks. Ours: the pass over the rows, in-sample fit, a fit "
        "without each fold, and the honest score."
    )
    yield ""
    yield (
        "| M | N | metric | ours, s | hill climb, s | AutoGluon, s | AutoGluon / ours "
        "| in-sample: ours, hill climb, AutoGluon | ours, honest | memory, MB: ours, hill climb, "
        "AutoGluon |"
    )
    yield "| --- " * 10 + "|"
    for cell in found:
        for metric in ("rmse", "pearson"):
            own, plain, peer = (
                cell[f"{name}, {metric}"] for name in ("ours", "hill climb", "AutoGluon")
            )
            ours = whole(own, "greedy")
            ratio = f"{whole_job(peer, args.picks) / ours:.0f}" if "seconds" in peer else ""
            reached = [number(own["greedy"][metric]), of(plain, metric), of(peer, metric)]
            memory = [f"{own['memory']:.0f}"] + [
                f"{each['memory']:.0f}" if "memory" in each else "–" for each in (plain, peer)
            ]
            yield (
                f"| {cell['members']} | {cell['rows']:,} | {metric} | {ours:.3f} "
                f"| {extrapolated(plain, args.picks)} | {extrapolated(peer, args.picks)} | {ratio} "
                f"| {', '.join(reached)} | {number(own['greedy']['honest'])} "
                f"| {', '.join(memory)} |"
            )


def parts_table(found: Sequence[Cell]) -> Iterator[str]:
    """Where ours spends its time."""
    yield "## Ours: the pass over the rows, and what comes after it"
    yield ""
    yield (
        "Each method fitted on all folds, fitted without each fold, and scored honestly. (rmse; "
        "pearson differs by little.)"
    )
    yield ""
    yield (
        "| M | N | pass, s | … on one thread | greedy, s | simplex, s "
        "| ridge, 10 strengths, nested, s |"
    )
    yield "| --- " * 7 + "|"
    for cell in found:
        own = cell["ours, rmse"]
        cells = [spread(own["pass"]), spread(own["pass on one thread"])]
        cells += [spread(own[name]["seconds"]) for name in ("greedy", "simplex", "ridge")]
        yield f"| {cell['members']} | {cell['rows']:,} | {' | '.join(cells)} |"


def weights_table(found: Sequence[Cell]) -> Iterator[str]:
    """Weights of least squared error."""
    yield "## Weights of least squared error"
    yield ""
    yield (
        "Seconds and in-sample rmse; of ours with the pass over the rows and the honest rmse. NNLS "
        "is bound to no sum, SLSQP and simplex to one, ridge to none and has an intercept. "
        "RidgeCV chooses its strength by leaving out rows, ours by leaving out folds."
    )
    yield ""
    yield "| M | N | our simplex | SLSQP | NNLS | our ridge | RidgeCV |"
    yield "| --- " * 7 + "|"
    for cell in found:
        own = cell["ours, rmse"]
        mine = {
            name: f"{whole(own, name):.3f} s, {number(own[name]['rmse'])}, honest "
            f"{number(own[name]['honest'])}"
            for name in ("simplex", "ridge")
        }
        other = {name: plain_cell(cell[name]) for name in ("SLSQP", "NNLS", "RidgeCV")}
        yield (
            f"| {cell['members']} | {cell['rows']:,} | {mine['simplex']} | {other['SLSQP']} "
            f"| {other['NNLS']} | {mine['ridge']} | {other['RidgeCV']} |"
        )


def speed_lines(args: argparse.Namespace, found: Sequence[Cell]) -> list[str]:
    """The goals, and whether they were reached."""
    lines = []
    for cell in found:
        if (cell["members"], cell["rows"]) != (100, 1_000_000):
            continue
        for metric in ("rmse", "pearson"):
            peer = cell[f"AutoGluon, {metric}"]
            if "seconds" not in peer:
                continue
            ratio = whole_job(peer, args.picks) / whole(cell[f"ours, {metric}"], "greedy")
            said = "reached" if ratio >= 100 else "not reached"
            lines.append(
                f"- Goal, 100 times faster than AutoGluon's selection at M = 100, N = 1,000,000, "
                f"honest score included: {metric} {ratio:.0f} times, {said}."
            )
    worse = [
        f"M = {cell['members']}, N = {cell['rows']:,}, {metric}"
        for cell in found
        for metric, sign in (("rmse", -1), ("pearson", 1))
        if (peer := cell[f"AutoGluon, {metric}"]).get("picks") == args.picks
        and sign * cell[f"ours, {metric}"]["greedy"][metric] < sign * peer[metric] - 1e-9
    ]
    said = "nowhere" if not worse else "; ".join(worse)
    return [*lines, f"- In-sample score worse than AutoGluon's at as many picks: {said}."]


def whole(own: Cell, method: str) -> float:
    """Seconds of the pass and of a method."""
    return statistics.median(own["pass"]) + statistics.median(own[method]["seconds"])


def whole_job(other: Cell, picks: int) -> float:
    """Seconds of all picks, multiplied up where it was stopped."""
    return statistics.median(other["seconds"]) * picks / other.get("picks", picks)


def extrapolated(other: Cell, picks: int) -> str:
    """Seconds of a greedy selection, marked where it was stopped."""
    if "seconds" not in other:
        return str(other["left out"])
    if other["picks"] < picks:
        return f"≈ {whole_job(other, picks):.0f} ({other['picks']})"
    return spread(other["seconds"])


def plain_cell(other: Cell) -> str:
    """Seconds and rmse."""
    if "seconds" not in other:
        return str(other["left out"])
    return f"{spread(other['seconds'])} s, {number(other['rmse'])}"


def of(other: Cell, metric: str) -> str:
    """The score reached, marked where it was stopped."""
    return number(other[metric]) if metric in other else "–"


def number(value: float) -> str:
    """Six digits."""
    return f"{value:.6f}"


def spread(values: Sequence[float]) -> str:
    """The median, and the lowest and highest beside it."""
    middle = statistics.median(values)
    digits = 3 if middle < 10 else 1
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"
