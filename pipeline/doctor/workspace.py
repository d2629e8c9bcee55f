"""What training leaves beside the predictions: weights, checkpoints, events, the lease."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from filelock import SoftFileLease

from pipeline.base import ArtifactError, Paths, read_json
from pipeline.base.files import alive, sha256, size_text
from pipeline.base.leases import this_machine
from pipeline.base.paths import Workspace
from pipeline.data.tokens.files import MANIFEST, damage_of, stores
from pipeline.data.tokens.store import LEASE
from pipeline.doctor.finding import (
    LOOK_AGAIN,
    Finding,
    Part,
    Section,
    attempt,
    entries,
    guarded,
    note,
    oddities,
    ours,
    problem,
)
from pipeline.doctor.folds import not_as_written
from pipeline.models.registry import LEARNERS

# Who trains a fold right now: the marker of a lease, read without taking the lease.


@dataclass(frozen=True, kw_only=True)
class Holder:
    """What the marker of a lease says about its holder."""

    process: int
    host: str
    here: bool
    """Whether that is this machine."""
    silent: float
    """Seconds since its last sign of life, by this machine's clock."""
    limit: float
    """Seconds of silence after which the next run takes the lease over."""

    @property
    def living(self) -> bool:
        """Whether the holder may still be writing."""
        return self.silent <= self.limit and (alive(self.process) if self.here else True)


def holder(path: Path) -> Holder | None:
    """The holder of the lease at *path*; None where the marker names none."""
    lease = SoftFileLease(path, thread_local=False)  # never acquired: only read
    owner = lease.owner
    if owner is None:
        return None
    return Holder(
        process=owner.pid,
        host=owner.hostname,
        here=owner.hostname == this_machine(),
        silent=max(0.0, time.time() - path.stat().st_mtime),
        limit=owner.lease_duration or lease.lease_duration,
    )


def lease_note(path: Path, what: str, finished: bool) -> tuple[bool, list[Finding]]:
    """Whether a living process trains *what*, and a note about the lease at *path*, if it is there.

    Of a *finished* fold nobody will take the lease over.
    """
    if not path.is_file():
        return False, []
    found = holder(path)
    if found is None:
        advice = f"Nothing if it has just appeared; else delete it, {LOOK_AGAIN}."
        return False, [note(path, "is a lease that names no holder", advice)]
    where = "this machine" if found.here else "another machine"
    who = f"process {found.process} on {found.host.partition('?')[0]} ({where})"
    silence = f"last sign of life {found.silent:.0f} s ago"
    if found.living:
        what_is = f"says that {what} is being trained by {who}, {silence}"
        return True, [note(path, what_is, f"Nothing; wait for it, {LOOK_AGAIN}.")]
    dead = found.here and not alive(found.process)
    why = "which is dead" if dead else f"{silence}, over the limit of {found.limit:.0f} s"
    what_was = f"is the lease of {who}, {why}"
    gone = f"Delete it: {what} is finished." if finished else "Nothing: the next run takes it over."
    return False, [note(path, what_was, gone)]


# The weights of a finished fold against the file that `save` of its learner wrote last.


SAVED = {
    saved.settings: (saved.weights, saved.digest)
    for kind in LEARNERS.values()
    if (saved := kind.saved)
}
"""What a learner's file is called -> its weights, and the field with their SHA-256."""


def has_weights(folder: Path) -> bool:
    """Whether a learner was saved in *folder*, damaged or not."""
    names = [name for settings, (weights, _) in SAVED.items() for name in (settings, weights)]
    return any((place / name).exists() for place in _places(folder) for name in names)


def _places(folder: Path) -> list[Path]:
    """Where learners may lie: in *folder*, or several that answer as one in 0/, 1/, …"""
    return [folder, *sorted(each for each in folder.glob("[0-9]*") if each.is_dir())]


def check_weights(folder: Path, part: Part, finished: bool, quick: bool) -> Iterator[Finding]:
    """Look at the weights in *folder*; a fold that is not *finished* may lack their last file."""
    lost = (
        f"Delete {folder}: the predictions of {part.said} stay, only predicting further rows with "
        "it is lost (training the fold again brings it back)."
    )
    for place, (settings, (weights, inside)) in product(_places(folder), SAVED.items()):
        path = place / weights
        if (place / settings).exists():
            yield from _check_weights(place / settings, path, inside, quick, lost)
        elif path.exists() and finished:
            yield problem(path, f"lacks {settings} beside it, which is written after it", lost)
        elif path.exists():
            what = f"has no {settings} beside it: the learner was just being saved"
            yield note(path, what, "Nothing: the next run saves it again.")
    if finished and folder.is_dir() and not has_weights(folder) and ours(folder):
        yield note(folder, "holds files, but no learner", f"Nothing; or delete {folder}.")


def _check_weights(
    settings: Path, path: Path, field: str, quick: bool, lost: str
) -> Iterator[Finding]:
    expected, failed = attempt(settings, lambda: _text(settings, field), lost)
    yield from failed
    if expected is None:
        return
    if not path.exists():
        yield problem(path, f"is missing, {settings.name} is there", lost)
        return
    changed, failed = attempt(path, partial(not_as_written, path, expected, quick), lost)
    yield from failed
    if changed:
        yield problem(path, changed, lost)


def _text(path: Path, field: str) -> str:
    value = read_json(path)[field]
    if not isinstance(value, str):
        raise TypeError(f"{field} is {value!r}")
    return value


# The token stores of a root: a cache, so nothing in it is worth more than a note.


AGAIN = "Nothing: the next run that needs it makes it again; or delete the folder."


def check_tokens(root: Path, quick: bool) -> Iterator[Section]:
    """One section about all stores; none where there are none."""
    folder = Paths(root, "").tokens
    found = list(stores(folder))
    if not found:
        return
    findings = [
        finding for each in found for finding in guarded(each, _check_store(root, each, quick))
    ]
    size = sum(path.stat().st_size for each in found for path in each.iterdir() if path.is_file())
    counts = f"{len(found)} store{'' if len(found) == 1 else 's'}, {size_text(size)}"
    yield Section(competition="", subject="tokens", counts=counts, findings=findings)


def _check_store(root: Path, store: Path, quick: bool) -> Iterator[Finding]:
    yield from oddities(root, store)
    maker = holder(store / LEASE) if (store / LEASE).is_file() else None
    if maker is not None and maker.living:
        what = f"is being made by process {maker.process} on {maker.host.partition('?')[0]}"
        yield note(store, what, f"Nothing; wait for it, {LOOK_AGAIN}.")
    elif not (store / MANIFEST).exists():
        yield note(store, "is a token store that was not finished", AGAIN)
    elif damage := damage_of(store, quick):
        yield note(store, damage, AGAIN)


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
