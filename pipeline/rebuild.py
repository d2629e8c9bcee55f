"""Make a submission again from the runs named in its provenance, and prove that it is the same.

    python -m pipeline.rebuild submissions/COMP-001-mean.csv
    python -m pipeline.rebuild COMP-001-mean.csv --out again.csv

Reads the json beside FILE: config, members and method are taken from there, so a config that was
changed or runs that were added since do not matter. Every part of every run must be the one that
the json names. Writes only where --out says, or where the file itself is missing.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.command import run
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    from pipeline.ensemble import Outcome
    from pipeline.ensemble.texts.outcome import TextOutcome


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("rebuild", __doc__ or "")
    options.add_argument("file", metavar="FILE", help="a submission: its path, or its name")
    options.add_argument("--out", metavar="PATH", help="where to write it; never over another file")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    from pipeline.report.page import page
    from pipeline.submissions.rebuild import (
        check_free,
        find_file,
        prove,
        put,
        read_origin,
        remake,
    )

    root = Path(args.root)
    origin = read_origin(find_file(root, args.file))
    target = Path(args.out) if args.out else None
    if target is not None:
        target = check_free(target, origin)
    made = remake(root, origin)
    prove(root, origin, made)
    written = put(origin, made, target)
    console = page(sys.stderr if args.json else sys.stdout)
    members = ", ".join(origin.asked.runs)
    outcome, then = made.outcome, (origin.record.get("scores") or {}).get("honest")
    for line in (
        f"{origin.csv.name}: {origin.record['method']} of {members}",
        f"the same bytes: SHA-256 {origin.sha256}",
        f"wrote {written}" if written else f"{origin.csv} is there and whole: nothing was written",
        *_scored(outcome, then),
        *(f"doubt    {of}: {doubt.says}" for of, doubt in outcome.doubts),
        *(f"warning  {of}: {says}" for of, says in outcome.warnings),
    ):
        console.print(line, soft_wrap=True)
    if args.json:
        found = {"file": str(origin.csv), "sha256": origin.sha256, "same": True}
        doubts = [{"run": of, "says": doubt.says} for of, doubt in outcome.doubts]
        found |= {"written": written and str(written), "doubts": doubts}
        warnings = [{"run": of, "says": says} for of, says in outcome.warnings]
        honest = None if doubts else outcome.honest
        print(json.dumps(found | {"honest": honest, "warnings": warnings}))
    return 0


def _scored(outcome: "Outcome | TextOutcome", then: float | None) -> Iterator[str]:
    """The file's honest score, and that another one stands in its provenance."""
    if outcome.doubts or outcome.honest is None:
        return
    yield f"honest   {outcome.metric.name} {outcome.honest:.4f}"
    if then is not None and f"{then:.4f}" != f"{outcome.honest:.4f}":
        yield (
            f"         its provenance says {then:.4f}, computed by an earlier version; the command "
            "that wrote the file puts that right"
        )


if __name__ == "__main__":
    raise SystemExit(run(main))
