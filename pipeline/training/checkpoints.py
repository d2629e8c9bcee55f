"""The states a fold can go on from: written whole or not at all, chosen by step, checked by hash.

    checkpoints/step-00000123.safetensors    weights, moments, counters after 123 optimiser steps
    checkpoints/step-00000123.json           its step, SHA-256 and fingerprint; written after it

Two are kept, so that one may turn out to be damaged; with `--on-nan rollback` also the last from
the start of an epoch. What time a file has never matters: clocks go wrong.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base import ArtifactError, read_json
from pipeline.base.fault_injection import reach
from pipeline.base.files import commit_json, sha256, sweep
from pipeline.base.paths import Workspace
from pipeline.models import Watch

KEEP = 2
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """One committed state."""

    path: Path
    step: int
    """Optimiser steps that were taken."""
    starts_epoch: bool

    @property
    def manifest(self) -> Path:
        """The file that says it is complete."""
        return self.path.with_suffix(".json")


class Checkpoints:
    """The checkpoints of one fold."""

    def __init__(self, workspace: Workspace, keep_epoch_start: bool = False) -> None:
        self.folder, self.fingerprint = workspace.checkpoints, workspace.fingerprint
        self.keep_epoch_start = keep_epoch_start
        sweep(self.folder)

    def path(self, step: int) -> Path:
        """Where the state after *step* optimiser steps goes."""
        return self.folder / f"step-{step:08}{SUFFIX}"

    def commit(self, step: int, digest: str, starts_epoch: bool) -> None:
        """Declare the file of *step* complete, then delete those that are not needed any more."""
        reach("checkpoint-file")
        path = self.path(step)
        content = {
            "step": step,
            "starts_epoch": starts_epoch,
            "bytes": path.stat().st_size,
            "sha256": digest,
            "settings": self.fingerprint,
        }
        commit_json(path.with_suffix(".json"), content)
        reach("checkpoint-done")
        self._thin()

    def newest(self, watch: Watch) -> Checkpoint | None:
        """The furthest state that is whole and of this training; the others are told and deleted.

        A file without its manifest was never finished and is deleted without a word.
        """
        refused = self._without_sense(watch)
        for path in set(self.folder.glob(f"*{SUFFIX}")) - {one.path for one in self._committed()}:
            path.unlink(missing_ok=True)
        for checkpoint in self._committed():
            problem = self._problem(checkpoint)
            if not problem:
                return checkpoint
            watch.event("checkpoint refused", f"{checkpoint.path.name} {problem}")
            _delete(checkpoint)
            refused = True
        if refused:
            watch.event("starts anew", "no checkpoint is left to go on from: the fold starts anew")
        return None

    def _without_sense(self, watch: Watch) -> bool:
        """Delete and tell manifests that cannot be read; whether there were any."""
        known = {one.manifest for one in self._committed()}
        strange = sorted(set(self.folder.glob("step-*.json")) - known)
        for manifest in strange:
            watch.event("checkpoint refused", f"{manifest.name} is damaged; it is passed over")
            manifest.unlink(missing_ok=True)
        return bool(strange)

    def roll_back(self) -> int:
        """Delete every state but the last from the start of an epoch; its step, 0 for none."""
        kept = 0
        for checkpoint in self._committed():
            if checkpoint.starts_epoch and not kept:
                kept = checkpoint.step
            else:
                _delete(checkpoint)
        return kept

    def clear(self) -> None:
        """Delete all, what other machines left too: the fold is finished."""
        for path in self.folder.glob("*"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _committed(self) -> list[Checkpoint]:
        """The furthest first."""
        return sorted(self._manifests(), key=lambda one: -one.step)

    def _manifests(self) -> Iterator[Checkpoint]:
        for manifest in self.folder.glob("step-*.json"):
            step = manifest.stem.removeprefix("step-")
            if step.isdigit():
                with contextlib.suppress(ArtifactError):
                    starts_epoch = bool(read_json(manifest).get("starts_epoch"))
                    yield Checkpoint(manifest.with_suffix(SUFFIX), int(step), starts_epoch)

    def _problem(self, checkpoint: Checkpoint) -> str:
        """What keeps a checkpoint from being used, in words; empty for nothing."""
        try:
            return self._difference(checkpoint, read_json(checkpoint.manifest))
        except OSError as error:
            return f"cannot be read ({error}); it is passed over"

    def _difference(self, checkpoint: Checkpoint, manifest: dict[str, Any]) -> str:
        if manifest.get("settings") != self.fingerprint:
            return "was made with other settings, rows or backbone files; it is deleted"
        if not checkpoint.path.exists():
            return "is missing, though its manifest is there; it is passed over"
        if sha256(checkpoint.path) != manifest.get("sha256"):
            return "is damaged (its SHA-256 is not that of its manifest); it is passed over"
        return ""

    def _thin(self) -> None:
        there = self._committed()
        keep = {one.step for one in there[:KEEP]}
        if self.keep_epoch_start:
            keep |= {one.step for one in [one for one in there if one.starts_epoch][:1]}
        for checkpoint in there:
            if checkpoint.step not in keep:
                _delete(checkpoint)


def _delete(checkpoint: Checkpoint) -> None:
    """The manifest first: without it the other file counts for nothing."""
    checkpoint.manifest.unlink(missing_ok=True)
    checkpoint.path.unlink(missing_ok=True)
