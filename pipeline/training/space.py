"""Whether a run fits on the disk, asked before it starts."""

from pathlib import Path

from pipeline.errors import ResourceError, raise_if
from pipeline.files import free_bytes, size_text
from pipeline.training.job import Job, Part

HEADROOM = 1.05


def needed_bytes(job: Job, missing: list[Part]) -> dict[Path, int]:
    """Bytes that the *missing* parts will write, by the folder they go to."""
    tables = job.tables
    holdout = 0 if tables.holdout is None else len(tables.holdout)
    rows = len(tables.train) // job.folds.count + len(tables.test) + holdout
    row_bytes = 4 * len(job.competition.outputs) + 4 * max(map(len, tables.train.ids.tolist()))
    weights = job.factory.disk_bytes() if job.keep_weights else 0
    return {
        job.paths.runs: rows * row_bytes * len(missing),
        job.paths.workspaces: weights * len(missing),
    }


def check_space(job: Job, missing: list[Part]) -> None:
    """Raise ResourceError where a file system cannot hold what the run will write to it."""
    need = needed_bytes(job, missing)
    by_device: dict[int, int] = {}
    problems = []
    for folder, size in need.items():
        device = _existing(folder).stat().st_dev
        by_device[device] = by_device.get(device, 0) + int(size * HEADROOM)
        if by_device[device] > (free := free_bytes(folder)):
            problems.append(
                f"{folder} needs {size_text(by_device[device])} for {len(missing)} folds, "
                f"{size_text(free)} are free. Free some space, use another --root, "
                "or keep no weights: --no-weights"
            )
    raise_if(problems, ResourceError, "not enough disk")


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
