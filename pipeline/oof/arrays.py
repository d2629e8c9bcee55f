"""Arrays of all members, one laid on the other: in memory where they are few, else on disk.

Five hundred members of a million rows are two gigabytes of float32. They are written one by one
into a temporary file and mapped from it, so memory holds one member and what the system keeps of
the file while there is room. The file has no name any more once it is open: it is gone when the
arrays are, however the process ends.
"""

import io
from pathlib import Path
from typing import Self

import numpy as np

from pipeline.base.errors import ResourceError
from pipeline.base.files import free_bytes, new_name, raise_resource_error, size_text, sweep

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
