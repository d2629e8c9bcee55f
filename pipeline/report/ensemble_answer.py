"""The first lines of the ensemble's page, its answer; and what the leaderboard will say."""

from collections.abc import Iterator

from pipeline.ensemble import Outcome
from pipeline.ensemble.forecast.leaderboard import Leaderboard
from pipeline.ensemble.forecast.ranges import INSIDE
from pipeline.ensemble.honest import Gain
from pipeline.ensemble.outcome import Instead
from pipeline.ensemble.texts.outcome import TextOutcome
from pipeline.oof import origin_of
from pipeline.oof.runs import seen_by_audit
from pipeline.report.page import score_text

VERDICTS = {
    "real": "real: the whole interval is above 0",
    "undecided": "undecided: the interval holds 0, the gain may be luck",
    "no": "no: blending does not beat the best single model here",
    "untold": "not to be told: a member's own score is in doubt",
}
NOTHING = "no gain to be seen: the honest score is no better, and the interval holds 0"
LEFT_OUT = " left out: "


def verdict_text(outcome: Outcome | TextOutcome) -> str:
    """Whether blending pays, in words: luck is spoken of where there is a gain."""
    if outcome.verdict == "undecided" and outcome.over_single.difference <= 0:
        return NOTHING
    return VERDICTS[outcome.verdict]


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
            f"{score_text(outcome.honest)}{board_of(outcome.leaderboard)}"
        )
        yield f"         {_worth(outcome)}"
    yield f"         {_carried(outcome)}"
    missing = [note for note in outcome.notes if LEFT_OUT in note]
    gone = ", ".join(note.partition(LEFT_OUT)[0] for note in missing)
    left = f"left out: {gone}, see the notes" if missing else "no run is left out"
    yield f"         {left}{_trust(outcome)}"
    other = outcome.instead
    if other is not None and other.gain.difference > max(other.gain.error, 0.0):
        yield f"next     {_instead(other, metric)}"
    elif outcome.plainer is not None:
        yield f"next     {_plainer(*outcome.plainer, metric)}"
    else:
        yield "next     the evidence stands below, the file and how to send it at the end"
    yield ""


def _trust(outcome: Outcome) -> str:
    """Which members' folds are taken on trust."""
    names = ", ".join(outcome.trusted)
    return f"; that {names} had not seen the rows is taken on trust" if names else ""


def _instead(found: Instead, metric: str) -> str:
    """The file that equal weights make, what can be said of it, and the command that writes it."""
    what = "the plain mean of " if len(found.runs) > 1 else ""
    better = "better" if found.gain.verdict == "real" else "better, which may be luck"
    return (
        f"{what}{', '.join(found.runs)} scores {metric} {found.honest:.4f} "
        f"({found.gain.difference:+.4f}: {better}), if each row was predicted by a learner that "
        f"had not seen it. Nothing is fitted, so folds need no proof: {found.command}"
    )


def _plainer(method: str, honest: float, gain: Gain, metric: str) -> str:
    """The simple method whose file scores higher, once both are decided."""
    what = "the best single model" if method == "best" else "the plain mean"
    better = "better" if gain.verdict == "real" else "better, which may be luck"
    return (
        f"{what}, as a file of it is decided, scores honest {metric} {honest:.4f} "
        f"({gain.difference:+.4f}: {better}): add --method {method}"
    )


def board_of(found: Leaderboard) -> str:
    """The range of the leaderboard, in brackets; empty where it is withheld."""
    part = next(iter(found.parts.values()), None)
    if part is None:
        return ""
    return f" (leaderboard, {INSIDE} %: {part.low:.4f} to {part.high:.4f})"


def _worth(outcome: Outcome) -> str:
    if len(outcome.members.names) == 1:
        return "there is one run, so nothing is blended"
    gain = outcome.over_single
    return f"{gain.difference:+.4f} over the best single model: {verdict_text(outcome)}"


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


# The piece of the ensemble's page on the leaderboard: expected score and 90 % ranges.


NO_SHARE = "--public-share 0.5 tells the public and the private part apart"


def leaderboard_sentences(outcome: Outcome | TextOutcome) -> Iterator[str]:
    """What the leaderboard will say, a line for each part of the test file."""
    found = outcome.leaderboard
    title = "leaderboard"
    for name, part in found.parts.items():
        yield (
            f"{title:<12} {name:<7} {part.score:.4f} ({INSIDE} %: {part.low:.4f} to "
            f"{part.high:.4f}, {part.rows:,} rows)"
        )
        if title and (found.moves or found.basis == "holdout"):
            moved = moves_sentence(found, outcome.metric.greater_is_better, outcome.honest)
            yield f"{'':<12} {moved} → {part.score:.4f} ({part.low:.4f} to {part.high:.4f})"
        title = ""
    for note in found.notes:
        yield f"{title:<12} {note}"
        title = ""
    if list(found.parts) == ["whole"]:
        yield f"{'':<12} {NO_SHARE}"


def moves_sentence(found: Leaderboard, greater_is_better: bool, honest: float | None = None) -> str:
    """The *honest* score of the folds, or what a forecast starts from, and what moved it by how
    much.

    >>> from pipeline.ensemble.forecast.ranges import Move
    >>> move = Move(name="mean of five", gain=0.0061, doubt=0.0012)
    >>> moves_sentence(Leaderboard(folds=0.8233, moves=[move]), greater_is_better=True)
    '0.8233 folds + 0.0061 mean of five ± 0.0012'
    >>> moves_sentence(Leaderboard(folds=0.91, basis="holdout"), True, honest=0.96)
    '0.9600 folds - 0.0500 as the holdout file scores'
    """
    sign = 1 if greater_is_better else -1
    told = [
        f"{'+' if sign * each.gain >= 0 else '-'} {abs(each.gain):.4f} {each.name} "
        f"± {each.doubt:.4f}"
        for each in found.moves
    ]
    start = f"{found.folds:.4f} {'folds' if found.basis == 'train' else 'holdout'}"
    if found.basis == "holdout" and honest is not None and found.folds is not None:
        apart, start = found.folds - honest, f"{honest:.4f} folds"
        told = [f"{'+' if apart >= 0 else '-'} {abs(apart):.4f} as the holdout file scores", *told]
    return " ".join([start, *told])
