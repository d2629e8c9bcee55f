"""Count file operations below a folder, and let the n-th one fail or kill the process."""

import errno
import os
import pathlib
import signal
import sys
from pathlib import Path
from typing import Any

COUNTED = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}


class Operations:
    """Counts file operations below *root*; at number *at* does what *kind* says."""

    def __init__(self, root: Path, kind: str, at: int) -> None:
        self.root, self.kind, self.at, self.count = str(root), kind, at, 0

    def here(self, path: Any) -> None:
        """One more operation on *path*."""
        if not str(path).startswith(self.root):
            return
        self.count += 1
        if self.count == self.at:
            if self.kind == "kill9":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """For sys.addaudithook."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes | os.PathLike) and flags & (
                os.O_WRONLY | os.O_RDWR | os.O_CREAT
            ):
                self.here(os.fsdecode(path))
        elif event in COUNTED:
            self.here(os.fsdecode(arguments[0]))

    def install(self) -> None:
        """Watch this process from now on; it cannot be undone, so do it in a fork."""
        sys.addaudithook(self.hook)
        fsync, opened = os.fsync, pathlib.Path.open
        last = {"path": self.root}

        def counted_fsync(handle: int) -> None:
            self.here(last["path"])
            fsync(handle)

        def counted_open(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
            stream = opened(path, mode, *more, **options)
            if mode != "wb":
                return stream
            last["path"] = str(path)
            write = stream.write

            class Writer:
                def __getattr__(self, name: str) -> Any:
                    return getattr(stream, name)

                def __enter__(self) -> "Writer":
                    return self

                def __exit__(self, *_: object) -> None:
                    stream.close()

                def write(_self, data: bytes) -> int:
                    self.here(path)
                    return write(data)

            return Writer()

        os.fsync = counted_fsync
        pathlib.Path.open = counted_open  # type: ignore[method-assign]
