"""The weights of a finished fold against the file that `save` of its learner wrote last."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.base.files import read_json
from pipeline.doctor.finding import Finding, attempt, note, problem
from pipeline.doctor.names import Part, ours
from pipeline.doctor.whole import not_as_written

SAVED = {
    "learner.json": ("weights.safetensors", "weights_sha256"),
    "linear.json": ("linear.npz", "sha256"),
}
"""What a learner's file is called -> its weights, and the field with their SHA-256."""


def has_weights(folder: Path) -> bool:
    """Whether a learner was saved in *folder*, damaged or not."""
    return any((folder / name).exists() for pair in SAVED.items() for name in (pair[0], pair[1][0]))


def check_weights(folder: Path, part: Part, finished: bool, quick: bool) -> Iterator[Finding]:
    """Look at the weights in *folder*; a fold that is not *finished* may lack their last file."""
    lost = (
        f"Delete {folder}: the predictions of {part.said} stay, only predicting further rows with "
        "it is lost (training the fold again brings it back)."
    )
    for settings, (weights, field) in SAVED.items():
        path = folder / weights
        if (folder / settings).exists():
            yield from _check(folder / settings, path, field, quick, lost)
        elif path.exists() and finished:
            yield problem(path, f"lacks {settings} beside it, which is written after it", lost)
        elif path.exists():
            what = f"has no {settings} beside it: the learner was just being saved"
            yield note(path, what, "Nothing: the next run saves it again.")
    if finished and folder.is_dir() and not has_weights(folder) and ours(folder):
        yield note(folder, "holds files, but no learner", f"Nothing; or delete {folder}.")


def _check(settings: Path, path: Path, field: str, quick: bool, lost: str) -> Iterator[Finding]:
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
