"""Runs read as members of one ensemble, all made on the same folds (`compatibility`).

Members may be more than memory holds: from 256 MB on they are float32 in a temporary file below
runs/COMP/, mapped, which loses its name the moment it is open, so nothing has to clean it up, a
crash least of all. Rows are read in blocks, widened to float64 there, and summed in float64.
"""

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from pipeline.base.errors import ArtifactError, ResourceError, raise_if
from pipeline.base.files import free_bytes, new_name, raise_resource_error, size_text, sweep
from pipeline.base.paths import Paths
from pipeline.oof.compatibility import FrozenFolds, check_passports, foreign_rows
from pipeline.oof.manifest import read_manifest
from pipeline.oof.predictions import Run, Wanted, assemble

# Arrays of all members, one laid on the other: in memory where they are few, else on disk.
#
# Five hundred members of a million rows are two gigabytes of float32. They are written one by one
# into a temporary file and mapped from it, so memory holds one member and what the system keeps of
# the file while there is room. The file has no name any more once it is open: it is gone when the
# arrays are, however the process ends.


IN_MEMORY = 256_000_000  # bytes of a pile up to which it is held in memory
HEADROOM = 1.05


class MemberArrays:
    """M arrays of one shape and type, added in turn within a `with`; `arrays` lives on after it."""

    def __init__(self, folder: Path, members: int, shape: tuple[int, ...], kind: type) -> None:
        """*folder* takes the file where there is one; ResourceError where it has no room for it."""
        self._shape = (members, *shape)
        self._kind = np.dtype(kind)
        self._arrays: list[np.ndarray] = []
        self._path = folder / new_name()
        self._file: io.FileIO | None = None
        size = self._kind.itemsize * int(np.prod(self._shape))
        if size > IN_MEMORY:
            _check_room(folder, size)
            self._file = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()  # a mapping of it stays, and with it the bytes

    def add(self, values: np.ndarray) -> None:
        """Lay one more array on top."""
        ready = np.ascontiguousarray(values, self._kind)
        assert ready.shape == self._shape[1:]
        if self._file is None:
            self._arrays.append(ready)
            return
        try:
            left = memoryview(ready.reshape(-1).view(np.uint8).data)
            while left:  # the system may take a part at a time
                left = left[self._file.write(left) :]
        except OSError as error:
            raise_resource_error(error, self._path)
            raise

    def arrays(self) -> list[np.ndarray]:
        """All M of them; those on disk can only be read."""
        if self._file is None:
            return self._arrays
        return list(np.asarray(np.memmap(self._file, self._kind, "r", shape=self._shape)))

    def _open(self) -> io.FileIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            sweep(self._path.parent)
            stream = self._path.open("x+b", buffering=0)
            self._path.unlink()
        except OSError as error:
            raise_resource_error(error, self._path)
            raise
        return stream


def _check_room(folder: Path, size: int) -> None:
    need, free = int(size * HEADROOM), free_bytes(folder)
    if need > free:
        raise ResourceError(
            f"the members' predictions need {size_text(need)} on the disk of {folder} while they "
            f"are blended, {size_text(free)} are free. Free some space, use another --root, or "
            "name fewer runs"
        )


@dataclass(frozen=True, kw_only=True)
class Members:
    """M runs on the same folds, their rows in the order asked for."""

    names: list[str]
    manifests: list[dict[str, Any]]
    oof: list[np.ndarray]
    """M arrays (n, k) float32; long ones stay on disk (`MemberArrays`)."""
    test: list[np.ndarray]
    """M arrays (m, k): the mean over seeds, repeats and folds."""
    holdout: list[np.ndarray]
    """M arrays (h, k)."""

    def keep(self, places: Sequence[int]) -> "Members":
        """The members at these positions only."""
        return Members(
            names=[self.names[place] for place in places],
            manifests=[self.manifests[place] for place in places],
            oof=[self.oof[place] for place in places],
            test=[self.test[place] for place in places],
            holdout=[self.holdout[place] for place in places],
        )


def read_members(
    paths: Paths,
    runs: Sequence[str],
    folds: FrozenFolds,
    outputs: Sequence[str],
    test_ids: np.ndarray,
    holdout_ids: np.ndarray,
) -> Members:
    """Read the *runs* (folder names), their out-of-fold rows in the order of folds.ids.

    Raises ArtifactError where runs come from different folds, hold other rows than these folds
    hold out, have their columns in another order, or are damaged.
    """
    manifests = {name: read_manifest(paths.runs / name) for name in runs}
    check_passports(paths, manifests, folds)
    problems = []
    for name, manifest in manifests.items():
        if manifest["outputs"] != list(outputs):
            problems.append(
                f"run {name} predicts the columns {manifest['outputs']}, today's config "
                f"asks for {list(outputs)}: train it again"
            )
        problems += foreign_rows(paths, name, manifest, folds)
    raise_if(problems, ArtifactError)
    wanted, columns = Wanted.of(folds.ids, test_ids, holdout_ids), len(outputs)
    kinds = {  # summed in float64; float32 is what a run of one seed has on disk
        "oof": (len(folds.ids), np.float32),
        "test": (len(test_ids), np.float64),
        "holdout": (len(holdout_ids), np.float64),
    }
    with ExitStack() as stack:
        piles = {
            part: stack.enter_context(
                MemberArrays(paths.workspaces, len(runs), (rows, columns), kind)
            )
            for part, (rows, kind) in kinds.items()
        }
        for name in runs:
            run = assemble(paths.runs / name, manifests[name], wanted)
            problems += _not_finite(run)
            for part, pile in piles.items():
                pile.add(getattr(run, part))
        raise_if(problems, ArtifactError)
        arrays = {part: pile.arrays() for part, pile in piles.items()}
    return Members(names=list(runs), manifests=[manifests[name] for name in runs], **arrays)


def _not_finite(run: Run) -> list[str]:
    return [
        f"run {run.name} has {count} predictions of {kind} rows that are not finite: train it again"
        for kind, count in run.not_finite.items()
        if count and (kind == "test" or run.manifest.get("has_holdout", True))
    ]
