"""One run: its predictions, run.json, and what training left of it on this machine."""

from pipeline.health.disk import oddities
from pipeline.health.finding import Section, guarded
from pipeline.health.found import find_parts
from pipeline.health.frozen import Frozen
from pipeline.health.mending import mending
from pipeline.health.names import unsafe
from pipeline.health.predictions import check_predictions
from pipeline.health.progress import check_kept, check_progress, counts
from pipeline.health.workspace import check_workspace
from pipeline.paths import Paths


def check_run(paths: Paths, run: str, frozen: Frozen, quick: bool) -> Section:
    """Everything about one run, given by its folder's name."""
    oof, work = paths.runs / run, paths.workspaces / run
    found, findings = find_parts(oof, work)
    findings += unsafe(oof if oof.exists() else work, "run")
    mend = mending(paths, run, found.predicted)
    there = check_predictions(found, frozen, mend, quick)
    trainings = {
        part: check_workspace(work / part.name, part, part in there.finished, quick)
        for part in found.worked_on
    }
    findings += there.findings
    findings += check_progress(oof, there.missing, trainings, mend)
    findings += [finding for training in trainings.values() for finding in training.findings]
    findings += check_kept(work, there.folds, trainings, mend)
    for folder in (oof, work):
        findings += guarded(folder, oddities(paths.root, folder))
    size = counts(
        len(there.folds),
        len(there.damaged),
        there.missing,
        trainings,
        manifest=(oof / "run.json").exists(),
    )
    subject = f"run {run}"
    return Section(competition=paths.competition, subject=subject, counts=size, findings=findings)
