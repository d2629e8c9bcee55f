"""The first lines of the ensemble's page: its answer, before the evidence."""

from collections.abc import Iterator

from pipeline.ensemble import Outcome
from pipeline.ensemble.forecast.ranges import INSIDE
from pipeline.oof import origin_of
from pipeline.oof.doubts import seen_by_audit
from pipeline.oof.runs import FIXED_INSTEAD
from pipeline.report.page import score_text

VERDICTS = {
    "real": "real: the whole interval is above 0",
    "undecided": "undecided: the interval holds 0, the gain may be luck",
    "no": "no: blending does not beat the best single model here",
    "untold": "not to be told: a member's own score is in doubt",
}
LEFT_OUT = " left out: "


def answer_lines(outcome: Outcome) -> Iterator[str]:
    """The page in five lines: the score, the gain, who carries it, who is missing, what next."""
    assessment, metric = outcome.assessment, outcome.metric.name
    names = ", ".join(outcome.members.names)
    if outcome.doubts:
        spoilt = ", ".join(dict.fromkeys(run for run, _ in outcome.doubts))
        yield f"answer   {assessment.method} of {names}: no score of it is honest, due to {spoilt}"
        yield f"         it claims {metric} {score_text(outcome.honest)}; nobody can tell its gain"
    else:
        yield (
            f"answer   {assessment.method} of {names}: honest {metric} "
            f"{score_text(outcome.honest)}{_board(outcome)}"
        )
        yield f"         {_worth(outcome)}"
    yield f"         {_carried(outcome)}"
    missing = [note for note in outcome.notes if LEFT_OUT in note]
    gone = ", ".join(note.partition(LEFT_OUT)[0] for note in missing)
    yield f"         left out: {gone}, see the notes" if missing else "         no run is left out"
    if any(FIXED_INSTEAD in note for note in missing):
        yield "next     try --method mean: equal weights take runs whose folds nobody can prove"
    else:
        yield "next     the evidence stands below, the file and how to send it at the end"
    yield ""


def _board(outcome: Outcome) -> str:
    """The range of the leaderboard, in brackets; empty where it is withheld."""
    part = next(iter(outcome.leaderboard.parts.values()), None)
    if part is None:
        return ""
    return f" (leaderboard, {INSIDE} %: {part.low:.4f} to {part.high:.4f})"


def _worth(outcome: Outcome) -> str:
    if len(outcome.members.names) == 1:
        return "there is one run, so nothing is blended"
    gain = outcome.over_single
    return f"{gain.difference:+.4f} over the best single model: {VERDICTS[outcome.verdict]}"


def _carried(outcome: Outcome) -> str:
    """Whether one member carries the score, and what its audit could not exclude."""
    alone = outcome.members.names[0] if len(outcome.members.names) == 1 else None
    if (name := outcome.carrier or alone) is None:
        return "no single member carries the score"
    place = outcome.members.names.index(name)
    manifest = outcome.members.manifests[place]
    cost = outcome.assessment.members[place].cost_without or 0.0
    share = "alone makes the score" if alone else f"carries the score ({cost:+.4f} with it)"
    audit = seen_by_audit(manifest)
    if name in (run for run, _ in outcome.doubts):
        return f"{name} {share}, and its own is in doubt"
    known = f"of its audit: {audit}" if audit else "it was trained here"
    if origin_of(manifest) is not None and not audit:
        known = "its audit says nothing of labels that were seen: add it again"
    return f"{name} {share}: {known}"
