"""What training leaves beside the predictions: weights, checkpoints, events, the lease."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.base.errors import ArtifactError
from pipeline.base.files import read_json, sha256, size_text
from pipeline.base.paths import Workspace
from pipeline.doctor.finding import Finding, attempt, guarded, note
from pipeline.doctor.leases import lease_note
from pipeline.doctor.names import Part, entries
from pipeline.doctor.weights import check_weights, has_weights

STEP = "step-*"


@dataclass(frozen=True, kw_only=True)
class Training:
    """How far the training of one fold is."""

    held: bool = False
    """Whether a living process trains it now."""
    weights: bool = False
    """Whether a learner is saved."""
    trained: bool = False
    """Whether only predicting is left."""
    step: int | None = None
    """The step that training goes on from."""
    findings: list[Finding] = field(default_factory=list)


def check_workspace(folder: Path, part: Part, finished: bool, quick: bool) -> Training:
    """Look at the workspace of one fold; while a living process holds its lease, only at that."""
    space = Workspace(folder)
    held, findings = lease_note(space.lease, part.said, finished)
    saved = has_weights(space.weights)
    if held:
        return Training(held=True, weights=saved, findings=findings)
    weights = check_weights(space.weights, part, finished, quick)
    findings += guarded(space.weights, weights)
    findings += guarded(space.events, _events(space.events))
    step = None
    if finished:
        findings += guarded(space.checkpoints, _left_over(space.checkpoints))
    else:
        step, more = _checkpoints(space.checkpoints, quick)
        findings += more
    trained = not finished and space.trained.exists()
    return Training(weights=saved, trained=trained, step=step, findings=findings)


def _left_over(folder: Path) -> Iterator[Finding]:
    """One note about all checkpoints of a finished fold."""
    files = [path for path in entries(folder) if path.match(STEP) and path.is_file()]
    if files:
        size = size_text(sum(path.stat().st_size for path in files))
        what = f"holds checkpoints of a fold that is finished ({size})"
        yield note(folder, what, f"Delete {folder}: nothing is lost.")


def _checkpoints(folder: Path, quick: bool) -> tuple[int | None, list[Finding]]:
    """The last step with a whole checkpoint, and notes about the others."""
    found, findings = attempt(folder, partial(entries, folder))
    stems = sorted({path.stem for path in found or [] if path.match(STEP)})
    last = None
    for stem in stems:
        step, wrong = _checkpoint(folder / f"{stem}.safetensors", quick)
        if wrong:
            advice = "Nothing: training goes on from the checkpoint before it, or starts the fold."
            findings.append(note(folder / f"{stem}.safetensors", wrong, advice))
        elif step is not None:
            last = max(step, last or 0)
    return last, findings


def _checkpoint(path: Path, quick: bool) -> tuple[int | None, str]:
    """The step of one checkpoint, or what is wrong with it."""
    manifest_path = path.with_suffix(".json")
    if not manifest_path.exists():
        return None, "has no manifest beside it: it was just being written"
    if not path.exists():
        return None, "is missing, its manifest is there"
    try:
        manifest = read_json(manifest_path)
        return _step(path, manifest, quick)
    except ArtifactError:
        return None, f"has a damaged manifest ({manifest_path.name})"
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        return None, f"has a manifest that does not hold what it should ({why})"
    except OSError as error:
        return None, f"cannot be read: {(error.strerror or str(error)).lower()}"


def _step(path: Path, manifest: dict[str, Any], quick: bool) -> tuple[int | None, str]:
    step, size, digest = int(manifest["step"]), int(manifest["bytes"]), str(manifest["sha256"])
    if path.stem != f"step-{step:08d}":
        return None, f"has the manifest of step {step}"
    if (found := path.stat().st_size) != size:
        return None, f"is cut off or changed: it has {found} bytes, expected {size}"
    if not quick and (other := sha256(path)) != digest:
        return None, f"has changed: its SHA-256 is {other[:12]}…, expected {digest[:12]}…"
    return step, ""


def _events(path: Path) -> Iterator[Finding]:
    """A note about lines that are no JSON object."""
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    broken = [number for number, line in enumerate(lines, 1) if line and not _is_object(line)]
    last = max((number for number, line in enumerate(lines, 1) if line), default=0)
    if broken == [last]:
        what = "ends in a torn line: its writer was stopped in the middle of it"
        yield note(path, what, "Nothing: it is a log, and the lines before it are whole.")
    elif broken:
        what = f"has {len(broken)} torn lines, the first is line {broken[0]}"
        yield note(path, what, "Nothing: it is a log; whoever reads it leaves those lines out.")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
