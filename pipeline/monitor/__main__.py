"""After the launch: are new rows like those that a bundle was trained on, and what will it score?

    python -m pipeline.monitor bundle new.csv
    python -m pipeline.monitor bundle labelled.csv --labels

Run it where the bundle was made: the training rows and the runs are read there. The bundle predicts
the new rows, and the checks of the leaderboard's forecast are asked about them: texts, copies of
training rows, label shares. With --labels the file has the columns of targets too, and the real
score is held against the expected one.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.command import run
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    from pipeline.monitor.comparison import Comparison


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("monitor", __doc__ or "")
    options.add_argument("bundle", metavar="BUNDLE", help="a folder that pipeline.bundle made")
    options.add_argument("file", metavar="FILE", help="the rows: csv, tsv, jsonl, parquet, xlsx …")
    options.add_argument(
        "--labels", action="store_true", help="FILE has the columns of targets: tell the real score"
    )
    options.add_argument("--encoding", metavar="NAME", help="of FILE; default: as in the config")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    from pipeline.monitor.comparison import compare
    from pipeline.report.page import page

    folder, file = Path(args.bundle), Path(args.file)
    found = compare(Path(args.root), folder, file, args.labels, args.encoding, page(sys.stderr))
    if args.json:
        print(json.dumps(_found(found)))
        return 0
    for line in _lines(found):
        page().print(line, soft_wrap=True)
    return 0


def _found(found: "Comparison") -> dict[str, Any]:
    """For programs."""
    part = found.expected.parts.get("whole")
    return {
        "rows": len(found.rows),
        "metric": found.outcome.metric.name,
        "verdict": found.verdict,
        "alike": None if found.alike is None else asdict(found.alike),
        "copies": found.copies.test,
        "honest": found.honest,
        "expected": None if part is None else asdict(part),
        "moves": [asdict(each) for each in found.expected.moves],
        "notes": found.expected.notes,
        "real": None if found.real is None else asdict(found.real),
        "against": found.against,
    }


VERDICTS = {
    "alike": "new rows are like the training rows",
    "shifted": "new rows are not quite like the training rows: the score is expected for such rows",
    "unlike": "no score can be promised for these rows",
    "unknown": "too few to tell whether they are like the training rows",
}
AGAINST = {
    "inside": "within what was expected",
    "better": "BETTER than was expected",
    "worse": "WORSE than was expected",
}


def _lines(found: "Comparison") -> Iterator[str]:
    """For people."""
    from pipeline.ensemble.forecast.ranges import INSIDE
    from pipeline.report.ensemble_answer import moves_sentence

    metric, expected = found.outcome.metric, found.expected
    yield f"{len(found.rows):,} rows of {found.rows.source}: {VERDICTS[found.verdict]}"
    if found.alike is None:
        yield "texts    too few rows to tell whether they are like those of train"
    else:
        told = ", ".join(f"{name} {auc:.2f}" for name, auc in found.alike.parts.items())
        yield (
            f"texts    told from the training rows with AUC {found.alike.auc:.2f} (95 %: "
            f"{found.alike.low:.2f} to {found.alike.high:.2f}; 0.50 or less is not at all): {told}"
        )
    if found.copies.test:
        yield f"copies   {found.copies.test:,} rows have the texts of a training row"
    honest = "untold" if found.honest is None else f"{found.honest:.4f}"
    yield f"honest   {metric.name} {honest} on the training rows, by folds"
    for part in expected.parts.values():
        yield (
            f"expected {metric.name} {part.score:.4f} ({INSIDE} %: {part.low:.4f} to "
            f"{part.high:.4f})"
        )
        if expected.moves:
            yield f"         {moves_sentence(expected, metric.greater_is_better)}"
    for note in expected.notes:
        yield f"note     (test: these rows) {note}"
    yield from _real(found)


def _real(found: "Comparison") -> Iterator[str]:
    """What the labels say."""
    metric, real = found.outcome.metric.name, found.real
    if real is None:
        return
    if real.score is None:
        yield f"real     {metric} has no value on the {real.rows:,} labelled rows"
        return
    ends = "" if real.low is None else f" (90 %: {real.low:.4f} to {real.high:.4f})"
    against = AGAINST.get(found.against or "", "no score was promised to hold it against")
    yield f"real     {metric} {real.score:.4f}{ends} on {real.rows:,} labelled rows: {against}"


if __name__ == "__main__":
    raise SystemExit(run(main))
