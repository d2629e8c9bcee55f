"""All predictions of a run: each fold, the folds together, and run.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.doctor.finding import Finding, guarded
from pipeline.doctor.fold_predictions import Fold, check_part
from pipeline.doctor.folds import Frozen
from pipeline.doctor.found import Found
from pipeline.doctor.names import Part
from pipeline.doctor.progress import Missing, missing_parts
from pipeline.doctor.repair import Mending
from pipeline.doctor.runfile import State, check_manifest
from pipeline.doctor.together import check_together, on_other_folds


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What is there of a run's predictions."""

    folds: Sequence[Fold]
    """Committed and whole."""
    damaged: Sequence[Part]
    """Committed, but damaged."""
    missing: Missing
    findings: list[Finding]

    @property
    def finished(self) -> set[Part]:
        """Parts that were trained to their end, damaged since or not."""
        return {*self.damaged, *(fold.part for fold in self.folds)}


def check_predictions(found: Found, frozen: Frozen, mend: Mending, quick: bool) -> Predictions:
    """Look at the parts that were *found*, one by one and together."""
    folds, damaged, findings = _each(found, mend, quick)
    oof = mend.paths.run(mend.run)
    findings += guarded(oof, check_together(folds, frozen, mend))
    expected = Frozen() if on_other_folds(folds, frozen) else frozen
    missing = missing_parts(found, [*damaged, *(fold.part for fold in folds)], expected)
    unsound = {part.seed for part in damaged}
    complete = [seed for seed, parts in missing.items() if not parts and seed not in unsound]
    state = State(folds=folds, damaged=damaged, complete=complete if expected.count else [])
    path = mend.paths.run_manifest(mend.run)
    findings += guarded(path, check_manifest(path, state, expected, mend))
    return Predictions(folds=folds, damaged=damaged, missing=missing, findings=findings)


def _each(found: Found, mend: Mending, quick: bool) -> tuple[list[Fold], list[Part], list[Finding]]:
    folds, damaged, findings = [], [], []
    for part in found.predicted:
        path = mend.paths.fold_predictions(mend.run, *part)
        fold, more = check_part(path, mend.run, part, quick, partial(mend.again, part))
        findings += more
        if fold is not None:
            folds.append(fold)
        elif any(finding.severity == "problem" for finding in more):
            damaged.append(part)
    return folds, damaged, findings
