"""One run: its predictions, run.json, and what training left of it on this machine."""

from pipeline.base.paths import Paths
from pipeline.doctor.disk import oddities
from pipeline.doctor.finding import Section, guarded
from pipeline.doctor.folds import Frozen
from pipeline.doctor.found import find_parts
from pipeline.doctor.names import unsafe
from pipeline.doctor.predictions import check_predictions
from pipeline.doctor.progress import check_kept, check_progress, counts
from pipeline.doctor.repair import mending
from pipeline.doctor.workspace import check_workspace


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
