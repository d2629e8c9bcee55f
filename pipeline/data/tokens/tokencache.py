"""One token store on disk for whoever needs it: found, waited for, mended or made."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.base.errors import ArtifactError, BusyError, ResourceError
from pipeline.base.leases import holder, lease
from pipeline.data.tokens.files import MANIFEST, delete_unused, read, write
from pipeline.data.tokens.inputs import Index
from pipeline.data.tokens.shelf import Shelf, joined

POLL_SECONDS = 0.5
LEASE = "store.lease"
Make = Callable[[], Iterable[Shelf]]
Kept = tuple[Index, Shelf]


class Teller(Protocol):
    """Told what happens: a `pipeline.models.learner.Watch` is one."""

    def phase(self, name: str, total: int) -> None:
        """A phase of *total* steps begins."""

    def advance(self, steps: int = 1) -> None:
        """That many steps are done."""

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Something a person should know."""


def in_memory(keys: np.ndarray, make: Make) -> Kept:
    """The tokens of the inputs *keys* (2, n) that *make* gives, on no disk."""
    return Index(keys), joined(make())


def on_disk(folder: Path, record: np.dtype, keys: np.ndarray, make: Make, tell: Teller) -> Kept:
    """The store in *folder*, mapped; where it is missing or damaged it is made first.

    One process makes it while the others wait. Where the disk is full or cannot be written, this
    process keeps the tokens in its own memory and says so: training may still fit, and the space
    that it needs is asked for by itself.
    """
    waited = False
    while (found := _there(folder, tell)) is None:
        try:
            with lease(folder / LEASE, f"the token store {folder}"):
                if (found := _there(folder, tell)) is None:  # made while the claim was waited for
                    write(folder, record, keys, make())
                    delete_unused(folder)
        except BusyError:
            if not waited:
                who = holder(folder / LEASE)
                tell.event("waiting", f"waiting for {who}, which tokenises the same texts")
            waited = True
            time.sleep(POLL_SECONDS)
        except ResourceError as error:
            tell.event(
                "tokens not kept",
                f"the tokens stay in this process's memory and are made again next time: {error}",
            )
            return in_memory(keys, make)
    return found


def _there(folder: Path, tell: Teller) -> Kept | None:
    try:
        found = read(folder)
    except ArtifactError as damage:
        tell.event("tokens damaged", f"{damage}. The texts are tokenised again.")
        with suppress(OSError):  # told once
            (folder / MANIFEST).unlink()
        return None
    return None if found is None else (Index(found[0]), found[1])
