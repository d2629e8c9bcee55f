"""Predict new rows with all that a submission was made from.

    python -m pipeline.predict new.csv --with COMP-001-layers.csv -o predicted.csv

FILE has the columns of the test file, in any format that pipeline.init reads. Every learner of
every member predicts each row; the blend and the decisions are those of the submission, fitted
again on the out-of-fold predictions it names, and shown to give its bytes. The answers have the
submission's columns. A command that was stopped goes on where it was. With --fast only the learners
predict that the honest score needs.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.command import run
from pipeline.base.errors import UsageError
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data import Table, Tables
    from pipeline.submissions.built import Built
    from pipeline.submissions.fewest import Fewest
    from pipeline.submissions.rebuild import Origin
    from pipeline.training.new_rows import NewRows, SavedRun


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("predict", __doc__ or "")
    options.add_argument("file", metavar="FILE", help="the rows: csv, tsv, jsonl, parquet, xlsx …")
    options.add_argument(
        "--with", dest="submission", metavar="FILE", required=True, help="a submission's name"
    )
    options.add_argument("-o", "--out", metavar="PATH", required=True, help="the answers, a csv")
    options.add_argument(
        "--members", nargs="+", metavar="RUN", help="only these, fitted and scored anew"
    )
    options.add_argument(
        "--fast",
        action="store_true",
        help="by the fewest learners that keep the honest score within a tenth of its standard "
        "error; says what is lost",
    )
    options.add_argument("--encoding", metavar="NAME", help="of FILE; default: as in the config")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    from pipeline.data import load
    from pipeline.report.page import page
    from pipeline.submissions.fewest import fewest
    from pipeline.submissions.rebuild import find_file, read_origin
    from pipeline.training.new_rows import by_members, rows_to_predict, saved_again, whole_ensemble

    root, out = Path(args.root), Path(args.out)
    origin = read_origin(find_file(root, args.submission))
    if out.is_dir():
        raise UsageError(f"-o {out} is a folder; name the file to write")
    if out.exists():
        raise UsageError(f"-o {out} is there already; name another file, or delete it")
    tables = load(origin.competition, root)
    table, _ = rows_to_predict(Path(args.file), origin.competition, root, args.encoding)
    told = page(sys.stderr)
    made = whole_ensemble(root, origin, args.members)
    few = fewest(root, made) if args.fast else None
    made = made if few is None else few.made
    kept = _kept(out, made.outcome.names, origin, table)
    outcome = made.outcome
    apart: dict[str, np.ndarray] = {}
    runs = saved_again(root, outcome.competition, outcome.manifests)
    if few is not None:
        runs = _of_first_folds(runs, few.folds[0])
    members = by_members(runs, kept, told, apart)
    _write(out, made, members, apart, tables, table)
    shutil.rmtree(kept.kept)
    if args.json:
        answer = {"rows": len(table), "wrote": str(out), "members": made.outcome.names}
        answer |= {"metric": made.outcome.metric.name, "honest": _honest(made)}
        print(json.dumps(answer if few is None else answer | {"fast": _fast(few)}))
        return 0
    for line in _lines(origin, made, table, out, few):
        page().print(line, soft_wrap=True)
    return 0


def _kept(out: Path, members: Sequence[str], origin: "Origin", table: "Table") -> "NewRows":
    """Where finished pieces are kept: beside *out*, for these rows and this submission alone."""
    import hashlib

    from pipeline.training.jobs import rows_digest
    from pipeline.training.new_rows import NewRows

    about = json.dumps([rows_digest(table), origin.record["members"], list(members)])
    digest = hashlib.sha256(about.encode()).hexdigest()[:12]
    return NewRows(table=table, kept=out.with_name(f"{out.name}.{digest}.partial"))


def _write(
    out: Path,
    made: "Built",
    members: Sequence[Any],
    apart: Mapping[str, "np.ndarray"],
    tables: "Tables",
    table: "Table",
) -> None:
    """The answers in the submission's form."""
    from pipeline.base.files import commit_bytes
    from pipeline.data.sample import of_rows
    from pipeline.data.spans import of_texts
    from pipeline.submissions.built import fill_any

    sample = tables.sample
    if set(sample.ids) != set(table.ids):
        sample = of_rows(sample, table.ids)
    sample = of_texts(sample, table)
    competition = made.outcome.competition
    commit_bytes(out, fill_any(made.fitted, competition, table, sample, members, apart))


def _honest(made: "Built") -> float | None:
    return None if made.outcome.doubts else made.outcome.honest


def _of_first_folds(runs: Iterable["SavedRun"], count: int) -> Iterator["SavedRun"]:
    """*runs* with the learners of their first folds only."""
    for saved in runs:
        yield replace(saved, parts=[part for part in saved.parts if part.fold < count])


def _fast(few: "Fewest") -> dict[str, Any]:
    """What stayed and what was lost, for JSON."""
    return {
        "members": few.members,
        "folds": few.folds,
        "learners": few.learners,
        "lost": few.lost.difference,
        "interval_95": [few.lost.low, few.lost.high],
        "lost_of_mean": few.mean,
        "allowed": few.allowed,
    }


def _lines(
    origin: "Origin", made: "Built", table: "Table", out: Path, few: "Fewest | None"
) -> list[str]:
    """What was done, for people."""
    from pipeline.training.new_rows import told_score

    outcome = made.outcome
    whole = made.asked.runs == origin.asked.runs
    of = f"all of {origin.csv.name}" if whole else f"some members of {origin.csv.name}"
    return [
        f"{len(table):,} rows of {table.source} predicted by {of}: {made.method} of "
        f"{', '.join(outcome.names)}",
        f"honest   {told_score(outcome)}, if these rows are like those of the competition",
        *([] if few is None else few.lines()),
        *(f"doubt    {run}: {doubt.says}" for run, doubt in outcome.doubts),
        *(f"warning  {run}: {says}" for run, says in outcome.warnings),
        f"wrote {out}",
    ]


if __name__ == "__main__":
    raise SystemExit(run(main))
