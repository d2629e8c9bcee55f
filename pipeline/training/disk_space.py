"""Whether a run fits on the disks it writes to, asked before it starts."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.base import raise_if
from pipeline.base.errors import ResourceError
from pipeline.base.files import (
    as_resource_error,
    commit_bytes,
    free_bytes,
    new_name,
    size_text,
    sweep,
)
from pipeline.training.checkpoints import KEEP
from pipeline.training.jobs import Job, Part

HEADROOM = 1.05
LOG_BYTES = 2_000_000
"""Of one fold: TensorBoard events, journal, manifests."""
TEMPORARY_BYTES = 20_000_000
"""What libraries may put into the folder for temporary files."""
FILES_PER_FOLD = 40


@dataclass(frozen=True, kw_only=True)
class Need:
    """What goes to one folder."""

    folder: Path
    size: int
    what: str
    """For people: "weights of 5 folds"."""


def needs(job: Job, missing: list[Part], workers: int = 1) -> list[Need]:
    """What the *missing* parts will have on the disks at most at once.

    Weights stay; of checkpoints, those that are kept, the one that is being written, and with
    `--on-nan rollback` one more, for each of the *workers*.
    """
    tables, folds = job.tables, len(missing)
    holdout = 0 if tables.holdout is None else len(tables.holdout)
    rows = len(tables.train) // job.folds.count + len(tables.test) + holdout
    row_bytes = 4 * len(job.competition.outputs) + 4 * max(map(len, tables.train.ids.tolist()))
    weights = job.factory.disk_bytes() if job.keep_weights else 0
    kept = KEEP + 1 + (job.policy.on_nan == "rollback")
    checkpoints = kept * job.factory.checkpoint_bytes() * min(workers, folds)
    runs = job.paths.workspaces
    # of an earlier attempt, which the free space lacks already
    there = sum(_size(job.paths.fold_workspace(job.run, *part)) for part in missing)
    found = [
        Need(folder=job.paths.runs, size=rows * row_bytes * folds, what="predictions"),
        Need(folder=runs, size=weights * folds, what=f"weights of {folds} folds"),
        Need(folder=runs, size=checkpoints, what=f"{kept} checkpoints"),
        Need(folder=runs, size=-there, what="there already"),
        Need(folder=runs, size=LOG_BYTES * folds, what="logs"),
        Need(folder=Path(tempfile.gettempdir()), size=TEMPORARY_BYTES, what="temporary files"),
    ]
    return [need for need in found if need.size] if missing else []


def check_space(job: Job, missing: list[Part], workers: int = 1) -> None:
    """Raise ResourceError saying where a disk is too full, out of inodes or not writable.

    Nothing is left behind, not even a folder.
    """
    by_device: dict[int, list[Need]] = {}
    for need in needs(job, missing, workers):
        by_device.setdefault(_existing(need.folder).stat().st_dev, []).append(need)
    problems = [
        problem
        for wanted in by_device.values()
        for problem in (
            *_too_full(wanted, job.policy.min_free_bytes),
            *_no_inodes(wanted, FILES_PER_FOLD * len(missing)),
        )
    ]
    folders = (job.paths.run(job.run), job.paths.workspaces) if missing else ()
    found = [_unwritable(folder, job.paths.root) for folder in folders]
    problems += dict.fromkeys(filter(None, found))
    raise_if(problems, ResourceError)


def _too_full(wanted: list[Need], spare: int) -> list[str]:
    """The problem of one file system that cannot hold all of *wanted*, if it cannot."""
    folder = wanted[0].folder
    need = int(sum(each.size for each in wanted) * HEADROOM) + spare
    if need <= (free := free_bytes(folder)):
        return []
    folders = " and ".join(dict.fromkeys(str(each.folder) for each in wanted))
    listing = ", ".join(f"{each.what} {size_text(each.size)}" for each in wanted)
    left = f", and {size_text(spare)} are to stay free (--min-free-gb)" if spare else ""
    elsewhere = "use another --root, or keep no weights: --no-weights"
    if folder == Path(tempfile.gettempdir()):
        elsewhere = "or name another folder in TMPDIR"
    return [
        f"the disk of {folders} needs {size_text(need)} ({listing}{left}), {size_text(free)} are "
        "free. "
        f"Free some space, {elsewhere}"
    ]


def _no_inodes(wanted: list[Need], files: int) -> list[str]:
    """The problem of a file system that has no room for so many more files, if it has none."""
    folder = wanted[0].folder
    found = os.statvfs(_existing(folder))
    if found.f_files == 0 or found.f_favail >= files:  # 0: the file system does not count them
        return []
    return [
        f"{folder} has room for {found.f_favail} more files (inodes), {files} are needed. "
        "Delete small files, or use another --root"
    ]


def _unwritable(folder: Path, root: Path) -> str:
    """The problem of a folder below *root*, there or to be made, that cannot be written to.

    Empty for none. A small file is written and deleted again: what says it is writable may not be.
    """
    for above in (folder, *folder.parents):
        if above.is_relative_to(root):
            sweep(above)  # the small file of a process that was killed here
    probe = _existing(folder) / new_name()
    try:
        commit_bytes(probe, b"probe")
        probe.unlink()
    except (OSError, ResourceError) as error:
        return str(as_resource_error(error, probe) or error)
    return ""


def _size(folder: Path) -> int:
    """Bytes of the files in *folder* and below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
