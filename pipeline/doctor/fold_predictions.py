"""One fold of a run: its predictions against its manifest, and against what predictions are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import ArtifactError
from pipeline.base.files import read_arrays, read_json
from pipeline.base.untrusted import check_archive
from pipeline.doctor.assignment import named
from pipeline.doctor.finding import Finding, attempt, note, problem
from pipeline.doctor.names import Part
from pipeline.doctor.whole import not_as_written
from pipeline.oof.manifest import check_format
from pipeline.oof.predictions import ARRAYS

KINDS = ("valid", "test", "holdout")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """What is known of one committed fold; see `check_part`."""

    part: Part
    path: Path
    """The .npz."""
    manifest: Mapping[str, Any]
    columns: int | None = None
    """k; None where the predictions were not looked into, as are the two that follow."""
    valid_ids: list[str] | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    """test, holdout -> digest of the ids that were predicted."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the predictions depend on."""
        settings: Mapping[str, Any] = self.manifest["settings"]
        return settings

    @property
    def sha256(self) -> str:
        """Of the predictions, as the manifest holds it."""
        return str(self.manifest["predictions_sha256"])


def check_part(
    path: Path, run: str, part: Part, quick: bool, again: Callable[[], str]
) -> tuple[Fold | None, list[Finding]]:
    """Look at the fold whose predictions lie, or should lie, at *path*.

    Args:
        again: tells what brings a damaged fold back, and what it costs.

    Returns:
        The fold, None where it is not committed or there is a problem; and what was found.
    """
    manifest_path = path.with_suffix(".json")
    if not manifest_path.exists():
        what = f"has no manifest beside it: {part.said} was just being committed"
        return None, [note(path, what, "Nothing: the next run trains the fold and overwrites it.")]
    manifest, findings = attempt(manifest_path, partial(_read_manifest, manifest_path), again)
    if manifest is None:
        return None, findings
    findings += _misplaced(manifest_path, manifest, run, part, again)
    if not path.exists():
        findings.append(problem(path, "is missing, its manifest is there", again()))
    if findings:
        return None, findings
    fold = Fold(part=part, path=path, manifest=manifest)
    return attempt(path, partial(_looked_into, fold, quick), again)


def _looked_into(fold: Fold, quick: bool) -> Fold:
    """*fold*, with its rows where not *quick*; ArtifactError where its predictions are damaged."""
    path = fold.path
    if changed := not_as_written(path, fold.sha256, quick):
        raise ArtifactError(f"{path} {changed}")
    if quick:
        return fold
    check_archive(path)
    arrays = read_arrays(path)
    if wrong := list(_wrong_arrays(arrays)):
        raise ArtifactError(f"{path} {'; '.join(wrong)}")
    return replace(
        fold,
        columns=arrays["valid"].shape[1],
        valid_ids=arrays["valid_ids"].tolist(),
        asked={kind: _digest(arrays[f"{kind}_ids"]) for kind in KINDS[1:]},
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest = read_json(path)
    check_format(manifest, path)
    for name, kind in (("predictions_sha256", str), ("settings", dict)):
        if not isinstance(manifest[name], kind):
            raise TypeError(f"{name} is {manifest[name]!r}")
    return manifest


def _misplaced(
    path: Path, manifest: Mapping[str, Any], run: str, part: Part, again: Callable[[], str]
) -> Iterator[Finding]:
    """A problem where the manifest is that of another fold."""
    expected = {"run": run, **part._asdict()}
    other = [
        f"{name} {manifest[name]}"
        for name, value in expected.items()
        if manifest.get(name, value) != value
    ]
    if other:
        what = f"says it is of {', '.join(other)}, but lies where {part.said} of run {run} belongs"
        yield problem(path, what, again())


def _wrong_arrays(arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """What is wrong with a fold's arrays, a phrase each."""
    if missing := [name for name in ARRAYS if name not in arrays]:
        yield f"lacks {', '.join(missing)}"
        return
    for kind in KINDS:
        ids, values = arrays[f"{kind}_ids"], arrays[kind]
        if ids.ndim != 1 or ids.dtype.kind != "U":
            yield f"has {kind}_ids of shape {ids.shape} and type {ids.dtype}, expected text"
        elif values.dtype != np.float32 or values.ndim != 2 or len(values) != len(ids):
            expected = f"({len(ids)}, k) and type float32"
            yield f"has {kind} of shape {values.shape} and type {values.dtype}, expected {expected}"
        else:
            yield from _wrong_rows(kind, ids, values)
    widths = {arrays[kind].shape[1:] for kind in KINDS if len(arrays[kind])}
    if len(widths) > 1:
        yield f"has predictions of different widths: {sorted(widths)}"


def _wrong_rows(kind: str, ids: np.ndarray, values: np.ndarray) -> Iterator[str]:
    broken = ids[~np.isfinite(values).all(axis=1)].tolist()
    if broken:
        yield f"holds {len(broken)} {kind} predictions that are not finite: {named(broken)}"
    distinct, counts = np.unique(ids, return_counts=True)
    if len(twice := distinct[counts > 1].tolist()):
        yield f"names {len(twice)} {kind} ids more than once: {named(twice)}"


def _digest(ids: np.ndarray) -> str:
    """Of a set of ids, whatever their order."""
    text = "\n".join(sorted(ids.tolist()))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
