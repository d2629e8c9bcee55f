"""Whether the folds of a run belong together: same settings, same frozen folds, the right rows."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

from pipeline.base.nested import flat, short
from pipeline.doctor.assignment import named
from pipeline.doctor.finding import Finding, attempt, problem
from pipeline.doctor.fold_predictions import Fold
from pipeline.doctor.folds import Frozen
from pipeline.doctor.names import Part
from pipeline.doctor.repair import Mending
from pipeline.oof.manifest import HARMLESS, MANNER
from pipeline.oof.origin import check_one_origin

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
    found = set(fold.valid_ids or [])
    missing, surplus = sorted(expected - found), sorted(found - expected)
    phrases = []
    if missing:
        phrases.append(f"{len(missing)} are missing: {named(missing)}")
    if surplus:
        phrases.append(f"{len(surplus)} are of other folds: {named(surplus)}")
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
