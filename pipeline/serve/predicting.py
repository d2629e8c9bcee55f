"""Rows of a file predicted by a bundle."""

import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.base import UsageError
from pipeline.base.files import commit_bytes
from pipeline.data import Table
from pipeline.data.sample import Sample
from pipeline.report.page import page
from pipeline.serve.bundle import Bundle, digest_of, open_bundle
from pipeline.training.jobs import rows_digest
from pipeline.training.new_rows import NewRows, by_members, rows_to_predict


def predict_file(
    folder: Path, file: str, out: str, sample: str = "", encoding: str | None = None
) -> int:
    """Answer the rows of *file* in *out*; return 0.

    Args:
        folder: the bundle's.
        file: the rows, in any format that `pipeline.init` reads.
        out: the csv to write.
        sample: a sample submission for them; empty: the form of the submission, in their order.
        encoding: of *file*; None for that of the config.
    """
    target = Path(out)
    if target.exists():
        raise UsageError(f"-o {target} is there already; name another file, or delete it")
    began, told = time.monotonic(), page(sys.stderr)
    bundle = open_bundle(folder)
    table, form = rows_of(bundle, Path(file), sample, encoding)
    about = json.dumps([rows_digest(table), digest_of(bundle.about)])
    name = hashlib.sha256(about.encode()).hexdigest()[:12]
    kept = target.with_name(f"{target.name}.{name}.partial")
    members = members_of(bundle, table, kept)
    commit_bytes(target, bundle.content(table, form, members))
    shutil.rmtree(kept)
    said, seconds = bundle.about, time.monotonic() - began
    told.print(
        f"{len(table):,} rows of {table.source} predicted by all of {said['submission']} in "
        f"{seconds:,.0f} s\nwrote {target}",
        soft_wrap=True,
    )
    return 0


def rows_of(
    bundle: Bundle, file: Path, sample: str = "", encoding: str | None = None
) -> tuple[Table, Sample | None]:
    """The rows of *file*, and the form of their answers where there is a *sample*."""
    table, form = rows_to_predict(file, bundle.competition, bundle.data, encoding, sample)
    return table, form if sample else None


def members_of(bundle: Bundle, table: Table, kept: Path) -> list[np.ndarray]:
    """(m, k) of each member, with progress on stderr; finished pieces and tokens lie in *kept*."""
    runs = bundle.runs(tokens=kept / ".tokens")
    return by_members(runs, NewRows(table=table, kept=kept), page(sys.stderr))
