"""Predict new rows with all that a submission was made from.

    python -m pipeline.predict new.csv --with COMP-001-layers.csv -o predicted.csv

FILE has the columns of the test file, in any format that pipeline.init reads. Every learner of
every member predicts each row; the blend and the decisions are those of the submission, fitted
again on the out-of-fold predictions it names, and shown to give its bytes. The answers have the
submission's columns. A command that was stopped goes on where it was.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.command import run
from pipeline.base.errors import ArtifactError, UsageError
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from pipeline.data import Table, Tables
    from pipeline.ensemble import Outcome
    from pipeline.submissions.build import BuiltSubmission
    from pipeline.submissions.rebuild import Origin
    from pipeline.training.new_rows import NewRows


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
    options.add_argument("--encoding", metavar="NAME", help="of FILE; default: as in the config")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    from pipeline.data import load
    from pipeline.report.page import page
    from pipeline.submissions.rebuild import find_file, read_origin

    root, out = Path(args.root), Path(args.out)
    origin = read_origin(find_file(root, args.submission))
    if out.is_dir():
        raise UsageError(f"-o {out} is a folder; name the file to write")
    if out.exists():
        raise UsageError(f"-o {out} is there already; name another file, or delete it")
    tables = load(origin.competition, root)
    table = _rows_of(Path(args.file), root, origin, args.encoding)
    told = page(sys.stderr)
    made = _remade(root, origin, args.members)
    kept = _kept(out, made.outcome.members.names, origin, table)
    members = _predicted(root, made.outcome, kept, told)
    _write(out, made.outcome, members, tables, table)
    shutil.rmtree(kept.kept)
    if args.json:
        answer = {"rows": len(table), "wrote": str(out), "members": made.outcome.members.names}
        print(json.dumps(answer | {"metric": made.outcome.metric.name, "honest": _honest(made)}))
        return 0
    for line in _lines(origin, made, table, out):
        page().print(line, soft_wrap=True)
    return 0


def _rows_of(file: Path, root: Path, origin: "Origin", encoding: str | None) -> "Table":
    """The rows of *file*, checked as those of a test file are."""
    from pipeline.base import DataError, raise_if
    from pipeline.data.tables import file_to_predict

    data = origin.competition.data
    data = replace(
        data,
        test=str(file.absolute()),
        sample_submission="",
        encoding=encoding or data.encoding,
    )
    rows, _ = file_to_predict(replace(origin.competition, data=data), root, None)
    raise_if(rows.problems, DataError)
    assert rows.value is not None, "a file that cannot be read is a problem"
    return replace(rows.value, source=file.name)


def _remade(root: Path, origin: "Origin", members: Sequence[str] | None) -> "BuiltSubmission":
    """The ensemble of the submission, or of some of its *members*; ArtifactError where learners
    are missing, with what remains."""
    from pipeline.base import Paths
    from pipeline.submissions.build import make
    from pipeline.submissions.rebuild import prove, remake
    from pipeline.training.new_rows import lacking

    runs = origin.asked.runs
    if unknown := sorted(set(members or ()) - set(runs)):
        listed = f"it was made from {', '.join(runs)}"
        raise UsageError(f"--members {' '.join(unknown)}: not in {origin.csv.name}; {listed}")
    if members is None or set(members) == set(runs):
        made = remake(root, origin)
        prove(root, origin, made)
    else:
        wanted = [name for name in runs if name in members]
        made = make(root, origin.competition, replace(origin.asked, runs=wanted))
    paths = Paths(root, origin.competition.name)
    gone = {
        manifest["name"]: why
        for manifest in made.outcome.members.manifests
        if (why := lacking(paths, manifest))
    }
    if not gone:
        return made
    left = [name for name in made.outcome.members.names if name not in gone]
    lines = [f"  - {name}: {why}" for name, why in gone.items()]
    if left:
        rest = make(root, origin.competition, replace(origin.asked, runs=left))
        lines.append(
            f"What remains can predict: --members {' '.join(left)} (honest {_said(rest.outcome)}; "
            f"all of it: {_said(made.outcome)})"
        )
    raise ArtifactError(f"{origin.csv.name} cannot predict new rows:\n" + "\n".join(lines))


def _kept(out: Path, members: Sequence[str], origin: "Origin", table: "Table") -> "NewRows":
    """Where finished pieces are kept: beside *out*, for these rows and this submission alone."""
    import hashlib

    from pipeline.training.jobs import rows_digest
    from pipeline.training.new_rows import NewRows

    about = json.dumps([rows_digest(table), origin.record["members"], list(members)])
    digest = hashlib.sha256(about.encode()).hexdigest()[:12]
    return NewRows(table=table, kept=out.with_name(f"{out.name}.{digest}.partial"))


def _predicted(
    root: Path, outcome: "Outcome", rows: "NewRows", console: "Console"
) -> list["np.ndarray"]:
    """(m, k) of each member, with progress on *console*."""
    from pipeline.training.new_rows import jobs_again, parts_in_order, predicted
    from pipeline.training.progress import Preparing, Progress

    found = []
    manifests = outcome.members.manifests
    for job, manifest in zip(
        jobs_again(root, outcome.competition, manifests), manifests, strict=True
    ):
        job.factory.prepare([rows.table], Preparing(job.run, console))
        parts = parts_in_order(manifest)
        with Progress(job.run, len(parts), console) as progress:
            found.append(predicted(job, parts, rows, progress.watch))
        console.print(
            f"{job.run}: {len(rows.table):,} rows by {len(parts)} learners", soft_wrap=True
        )
    return found


def _write(
    out: Path,
    outcome: "Outcome",
    members: Sequence["np.ndarray"],
    tables: "Tables",
    table: "Table",
) -> None:
    """The answers in the submission's form."""
    from pipeline.base.files import commit_bytes
    from pipeline.data.sample import of_rows
    from pipeline.data.spans import of_texts
    from pipeline.ensemble.predictor import Rows, about_rows
    from pipeline.submissions.build import fill

    facts = about_rows(tables.train, tables.test, tables.holdout, outcome.slice_by, table)
    sample = tables.sample
    if set(sample.ids) != set(table.ids):
        sample = of_rows(sample, table.ids)
    sample = of_texts(sample, table)
    content = fill(outcome, table.ids.tolist(), sample, Rows(members, facts))
    commit_bytes(out, content)


def _honest(made: "BuiltSubmission") -> float | None:
    return None if made.outcome.doubts else made.outcome.honest


def _said(outcome: "Outcome") -> str:
    if outcome.doubts or outcome.honest is None:
        return f"{outcome.metric.name} untold"
    return f"{outcome.metric.name} {outcome.honest:.4f}"


def _lines(origin: "Origin", made: "BuiltSubmission", table: "Table", out: Path) -> list[str]:
    """What was done, for people."""
    outcome = made.outcome
    whole = made.asked.runs == origin.asked.runs
    of = f"all of {origin.csv.name}" if whole else f"some members of {origin.csv.name}"
    return [
        f"{len(table):,} rows of {table.source} predicted by {of}: {outcome.assessment.method} of "
        f"{', '.join(outcome.members.names)}",
        f"honest   {_said(outcome)}, if these rows are like those of the competition",
        *(f"doubt    {run}: {doubt.says}" for run, doubt in outcome.doubts),
        *(f"warning  {run}: {says}" for run, says in outcome.warnings),
        f"wrote {out}",
    ]


if __name__ == "__main__":
    raise SystemExit(run(main))
