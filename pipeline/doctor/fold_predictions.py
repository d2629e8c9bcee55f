"""One fold of a run: its predictions against its manifest, and against what predictions are."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, read_json
from pipeline.base.config import flat, short
from pipeline.base.files import check_archive, read_arrays
from pipeline.data import compare, doubled, named
from pipeline.data.units import documents_in
from pipeline.doctor.finding import Finding, Part, attempt, note, problem
from pipeline.doctor.folds import Frozen, not_as_written
from pipeline.doctor.repair import Mending
from pipeline.oof.manifest import HARMLESS, MANNER, check_format
from pipeline.oof.predictions import ARRAYS, KEPT_AS, KINDS, check_one_origin, texts_in


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
    texts_in(path, arrays)
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
        elif values.dtype not in KEPT_AS or values.ndim != 2 or len(values) != len(ids):
            expected = f"({len(ids)}, k) and type float32, or float16 of tags"
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
    if twice := sorted(doubled(ids.tolist())):
        yield f"names {len(twice)} {kind} ids more than once: {named(twice)}"


def _digest(ids: np.ndarray) -> str:
    """Of a set of ids, whatever their order."""
    text = "\n".join(sorted(ids.tolist()))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# Whether the folds of a run belong together: same settings, same frozen folds, the right rows.


Again = Callable[[Part], str]
"""What brings one part back, and what it costs."""


def check_together(folds: Sequence[Fold], frozen: Frozen, mend: Mending) -> Iterator[Finding]:
    """Problems between the committed *folds* of a run, and with the *frozen* folds of today."""
    known = frozen.digest
    yield from _other_folds(folds, frozen, mend)
    native = [fold for fold in folds if not known or _passport(fold) == known]
    yield from _settings(folds, mend.again, HARMLESS | MANNER | ({"passport"} if known else set()))
    yield from _rows(native, frozen, mend.again)
    yield from _asked(folds, mend.again)
    yield from _origin(folds, mend)


def on_other_folds(folds: Sequence[Fold], frozen: Frozen) -> bool:
    """Whether the whole run was trained on other frozen folds than today's."""
    known = bool(folds) and bool(frozen.digest)
    return known and all(_passport(fold) != frozen.digest for fold in folds)


def _passport(fold: Fold) -> Any:
    return fold.settings.get("passport")


def _other_folds(folds: Sequence[Fold], frozen: Frozen, mend: Mending) -> Iterator[Finding]:
    """One problem for a run on other frozen folds than today's, else one for each such fold."""
    foreign = [fold for fold in folds if frozen.digest and _passport(fold) != frozen.digest]
    found = ", ".join(sorted({str(_passport(fold))[:16] for fold in foreign}))
    what = f"was trained on other frozen folds: {found}; today's are {frozen.digest[:16]}"
    if on_other_folds(folds, frozen):
        advice = (
            f"Restore the frozen folds (git) if they changed by mistake; or {_all(mend, folds)}"
        )
        yield problem(mend.paths.run(mend.run), what, advice)
        return
    for fold in foreign:
        yield problem(fold.path, what, mend.again(fold.part))


def _settings(folds: Sequence[Fold], again: Again, leave_out: set[str]) -> Iterator[Finding]:
    """A problem for each fold whose settings are not those of most folds."""
    tables = [flat(fold.settings) for fold in folds]
    texts = [
        json.dumps({key: each[key] for key in sorted(each.keys() - leave_out)}) for each in tables
    ]
    usual = Counter(texts).most_common(1)[0][0] if texts else ""
    for fold, own, text in zip(folds, tables, texts, strict=True):
        if text == usual:
            continue
        common = json.loads(usual)
        differs = [
            f"{key} {short(own.get(key))} (elsewhere {short(common.get(key))})"
            for key in sorted((own.keys() | common.keys()) - leave_out)
            if own.get(key) != common.get(key)
        ]
        what = f"was trained with other settings than the run's other folds: {'; '.join(differs)}"
        yield problem(fold.path, what, again(fold.part))


def _rows(folds: Sequence[Fold], frozen: Frozen, again: Again) -> Iterator[Finding]:
    """Problems of folds that do not hold out the rows that they should."""
    looked_into = [fold for fold in folds if fold.valid_ids is not None]
    for fold in looked_into:
        place = (fold.part.repeat, fold.part.fold)
        if frozen.digest and not (place[0] < frozen.repeats and place[1] < frozen.count):
            expected = f"there are folds 0 to {frozen.count - 1} of {frozen.repeats} repeats"
            yield problem(fold.path, f"is of no frozen fold: {expected}", again(fold.part))
        elif place in frozen.rows and (wrong := _difference(fold, frozen.rows[place])):
            yield problem(
                fold.path, f"holds other rows than its frozen fold: {wrong}", again(fold.part)
            )
    if not frozen.rows:
        yield from _overlaps(looked_into, again)


def _difference(fold: Fold, expected: set[str]) -> str:
    held, phrases = fold.valid_ids or [], []
    whole, cut = documents_in(held)
    if not expected & set(held) and expected & set(whole):  # frozen are documents, kept their units
        held = whole
        if cut:
            phrases.append(f"{len(cut)} documents lack a unit: {named(cut)}")
    differ = compare(held, expected)
    if differ.missing:
        phrases.append(f"{len(differ.missing)} are missing: {named(sorted(differ.missing))}")
    if differ.surplus:
        phrases.append(f"{len(differ.surplus)} are of other folds: {named(sorted(differ.surplus))}")
    return "; ".join(phrases)


def _overlaps(folds: Sequence[Fold], again: Again) -> Iterator[Finding]:
    """Rows that two folds of a seed and repeat both hold out: seen without any frozen folds."""
    for first, second in combinations(folds, 2):
        if first.part[:2] == second.part[:2]:
            shared = sorted(set(first.valid_ids or []) & set(second.valid_ids or []))
            if shared:
                what = f"holds out {len(shared)} rows that {first.path.name} holds out, too"
                yield problem(second.path, f"{what}: {named(shared)}", again(second.part))


def _asked(folds: Sequence[Fold], again: Again) -> Iterator[Finding]:
    """Problems of folds that predicted other test or holdout rows, or columns, than most folds."""
    facts: dict[str, list[str | int | None]] = {
        "other test rows": [fold.asked.get("test") for fold in folds],
        "other holdout rows": [fold.asked.get("holdout") for fold in folds],
        "another number of columns": [fold.columns for fold in folds],
    }
    for what, values in facts.items():
        usual = Counter(value for value in values if value is not None).most_common(1)
        for fold, value in zip(folds, values, strict=True):
            if value is not None and value != usual[0][0]:
                said = f"predicts {what} than the run's other folds"
                yield problem(fold.path, said, again(fold.part))


def _origin(folds: Sequence[Fold], mend: Mending) -> Iterator[Finding]:
    """A problem where backbone or tokenizer changed between the folds."""
    path = mend.paths.run(mend.run)
    manifests = {fold.part.name: fold.manifest for fold in folds}
    yield from attempt(
        path,
        lambda: check_one_origin(str(path), manifests),
        lambda: f"Restore the folds that were changed (git); or {_all(mend, folds)}",
    )[1]


def _all(mend: Mending, folds: Sequence[Fold]) -> str:
    return mend.all_again([fold.part for fold in folds])
