"""How far a run is: what of it is missing, and what goes on from where."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.base.paths import part_name
from pipeline.doctor.finding import Finding, note
from pipeline.doctor.fold_predictions import Fold
from pipeline.doctor.folds import Frozen
from pipeline.doctor.found import Found
from pipeline.doctor.names import Part
from pipeline.doctor.repair import Mending
from pipeline.doctor.workspace import Training

Missing = Mapping[int, Sequence[Part]]
"""Seed -> its parts that are not committed."""


def missing_parts(found: Found, done: Sequence[Part], frozen: Frozen) -> dict[int, list[Part]]:
    """What each seed of a run lacks; without *frozen* folds, what was begun and not finished."""
    seen = {*found.predicted, *found.worked_on}
    return {
        seed: sorted(
            (_all_of(seed, frozen) or {part for part in seen if part.seed == seed}) - set(done)
        )
        for seed in found.seeds
    }


def _all_of(seed: int, frozen: Frozen) -> set[Part]:
    return {
        Part(seed, repeat, fold) for repeat in range(frozen.repeats) for fold in range(frozen.count)
    }


def check_progress(
    folder: Path, missing: Missing, trainings: Mapping[Part, Training], mend: Mending
) -> Iterator[Finding]:
    """A note where the run is not finished."""
    parts = [part for lacking in missing.values() for part in lacking]
    if not parts:
        return
    lacks = "; ".join(
        f"seed {seed} lacks {', '.join(part_name(*part[1:]) for part in lacking)}"
        for seed, lacking in missing.items()
        if lacking
    )
    if any(training.held for training in trainings.values()):
        advice = "Nothing: the run is being trained."
    else:
        saved = "".join(_saved(part, trainings.get(part)) for part in parts)
        advice = f"Run: {mend.go_on(parts, saved)}"
    yield note(folder, f"is not finished: {lacks}", advice)


def _saved(part: Part, training: Training | None) -> str:
    """What of a part that is not finished is saved."""
    if training and training.trained:
        return f"; {part.said} has only to predict"
    if training and training.step is not None:
        return f"; {part.said} goes on from step {training.step}"
    return ""


def check_kept(
    folder: Path, folds: Sequence[Fold], trainings: Mapping[Part, Training], mend: Mending
) -> Iterator[Finding]:
    """A note where weights of finished folds are not on this machine; a team-mate's never are."""
    if mend.given:
        return
    without = [fold for fold in folds if not trainings.get(fold.part, Training()).weights]
    if without:
        what = f"holds no weights of {len(without)} of {len(folds)} finished folds"
        yield note(
            folder, what, "Nothing: blending needs no weights, only predicting further rows."
        )


def counts(
    whole: int, damaged: int, missing: Missing, trainings: Mapping[Part, Training], manifest: bool
) -> str:
    """How much there is of a run, for the page."""
    total = whole + damaged + sum(map(len, missing.values()))
    seeds = f" in {len(missing)} seeds" if len(missing) > 1 else ""
    kept = sum(training.weights for training in trainings.values())
    return ", ".join(
        [
            f"{whole} of {total} folds{seeds}",
            "run.json" if manifest else "no run.json",
            f"weights of {kept}",
        ]
    )
