"""The page of the forecast's benchmark: per kind of world how often the range held."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.machine import keep, machine_line

WHAT = {
    "random": "rows at random",
    "groups": "whole groups that share sentences",
    "values": "new values of a column (clusters of texts)",
    "flat": "flat labels, as in klue-sts",
    "shares": "other class shares",
    "longer": "longer texts",
    "later": "later rows of a drifting order",
    "source": "half from a source that train has not",
}
WHOLE = "whole"
REMARKS = Path(__file__).resolve().parents[1] / "results" / "forecast-remarks.md"
NORMAL = 1.645
"""Half the width of a 90 % range in standard errors."""


def write(scratch: Path) -> None:
    """Read every world's found.json below *scratch*; write results/forecast.md and .json."""
    found = [json.loads(file.read_text("utf-8")) for file in sorted(scratch.glob("*/found.json"))]
    lines = [line(kind, [each for each in found if each["kind"] == kind]) for kind in WHAT]
    lines.append(line("all", [each for each in found if each["kind"] != WHOLE]))
    competitions = [competition(each) for each in found if each["kind"] == WHOLE]
    remarks = REMARKS.read_text("utf-8").strip() if REMARKS.exists() else ""
    page = [
        "# Does the forecast of the leaderboard hold?",
        "",
        "`python -m benchmarks.forecast train`, then `ask`, then `page`. "
        + machine_line("scikit-learn"),
        "",
        "Worlds of 1,500 training and 600 test rows are cut out of klue-sts, stsb-en, nsmc and "
        "ynat. In each, `pipeline.init` and `pipeline.cv --model linear` go their own way, the "
        "ensemble says what to expect, and the file is scored on the answers. *Held*: share of "
        "the ranges given that hold the score, ± its binomial standard error. *Folds alone*: "
        "the same for a range of the same width around the honest score, without what moved "
        "it. *Bias*: mean of (true - expected) in standard errors of the forecast, above 0 "
        "where test scored better.",
        "",
        "| kind | worlds | withheld | held | folds alone | bias | bias of the folds alone |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *[each for each in lines if each],
        "",
        "The open competitions whole: all of train.csv against dev.csv (klue-sts, stsb-en), or "
        "against 2,000 rows of train.csv that were cut off first (nsmc, ynat):",
        "",
        "| world | metric | folds alone | expected (90 %) | true |",
        "| --- | --- | --- | --- | --- |",
        *competitions,
        "",
        remarks,
    ]
    keep("forecast", "\n".join(page), found)
    print("\n".join(page))


def line(kind: str, found: list[dict[str, Any]]) -> str:
    """One kind's line; empty where no world was asked."""
    if not found:
        return ""
    given = [each for each in found if each["expected"] is not None]
    withheld = f"{len(found) - len(given)} ({100 * (1 - len(given) / len(found)):.0f} %)"
    name = WHAT.get(kind, "**all**")
    if not given:
        return f"| {name} | {len(found)} | {withheld} | | | | |"
    held = np.mean([each["low"] <= each["true"] <= each["high"] for each in given])
    plain = np.mean([inside_of_folds(each) for each in given])
    error = math.sqrt(max(held * (1 - held), 0.05) / len(given))
    bias = [in_errors(each, each["expected"]) for each in given]
    before = [in_errors(each, each["honest"]) for each in given]
    cells = [
        name,
        str(len(found)),
        withheld,
        f"{100 * held:.0f} ± {100 * error:.0f} %",
        f"{100 * plain:.0f} %",
        mean_and_error(bias),
        mean_and_error(before),
    ]
    return f"| {' | '.join(cells)} |"


def competition(each: dict[str, Any]) -> str:
    """One competition's line."""
    told = "withheld"
    if each["expected"] is not None:
        told = f"{each['expected']:.4f} ({each['low']:.4f} to {each['high']:.4f})"
    name = f"{each['world']} {each.get('source', '')}"
    return f"| {name} | {each['metric']} | {each['honest']:.4f} | {told} | {each['true']:.4f} |"


def in_errors(each: dict[str, Any], expected: float) -> float:
    """(True - *expected*) in standard errors of the forecast, above 0 where test is better."""
    error = (each["high"] - each["low"]) / 2 / NORMAL
    sign = 1 if each["better"] else -1
    return float(sign * (each["true"] - expected) / error)


def inside_of_folds(each: dict[str, Any]) -> bool:
    """Whether a range as wide around the folds' score holds the truth."""
    moved = each["honest"] - each["expected"]
    return bool(each["low"] + moved <= each["true"] <= each["high"] + moved)


def mean_and_error(values: list[float]) -> str:
    """Mean and its standard error."""
    return f"{np.mean(values):+.2f} ± {np.std(values) / math.sqrt(len(values)):.2f}"
