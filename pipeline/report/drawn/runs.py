"""The pages about runs: how their trainings went, what they cost, who gave them."""

import statistics
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pipeline.base import read_json
from pipeline.base.errors import PipelineError
from pipeline.base.paths import part_name
from pipeline.models.learner import Silent
from pipeline.oof import doubts_of, origin_of, read_manifest
from pipeline.oof.runs import remarks_of, seen_by_audit
from pipeline.report.cv import memory_text
from pipeline.report.drawn.charts import Tips, dots, ranges
from pipeline.report.drawn.disk import Disk
from pipeline.report.drawn.document import Block, Cards, Says, Table, clean, num, text
from pipeline.report.page import plural
from pipeline.team.competition import list_runs
from pipeline.team.store import seconds_of
from pipeline.training.progress import Journal, clock_text
from pipeline.training.tracking import curves_at

CURVES = {"train_loss": "Loss in training", "valid_loss": "Loss on held-out rows"}
CURVES |= {"learning_rate": "Learning rate"}
EVENTS = ["run", "part", "what", "said", "when"]
MOST_CURVES, MOST_POINTS, MOST_EVENTS = 6, 200, 300


def runs(disk: Disk) -> Iterator[Block]:
    """Fold scores, seconds, memory, curves and events of each run."""
    manifests, notes = _manifests(disk)
    started = _unfinished(disk)
    if notes or started:
        yield Says(warns=notes, says=[f"not complete yet: {', '.join(started)}"] if started else [])
    if live := _live_events(disk):
        yield Table(title="Trainings that are not finished", header=EVENTS, rows=live)
    disk.need_runs()
    parts = {name: _parts(disk, name, manifest) for name, manifest in manifests.items()}
    yield _overview(disk, manifests, parts)
    names = list(manifests)
    scored = {
        name: [part["score"] for part in parts[name].values() if part.get("score") is not None]
        for name in names
    }
    known = [name for name in names if scored[name]]
    if known:
        most = max(len(scored[name]) for name in known)
        yield ranges(
            "foldscores",
            f"Scores of the folds ({disk.metric.name})",
            [clean(name) for name in known],
            [statistics.fmean(scored[name]) for name in known],
            [_spread(scored[name]) for name in known],
            others={
                f"fold {place}": [
                    scored[name][place] if place < len(scored[name]) else None for name in known
                ]
                for place in range(min(most, 10))
            },
            says=["filled: the mean; the bar: one standard deviation of the folds either way"],
        )
    for name in names[:MOST_CURVES]:
        yield from _curves(disk, name, manifests[name])
    rows = [
        [
            text(name),
            text(part),
            num(facts.get("score")),
            num(_total(facts), ".1f"),
            text(memory_text(facts.get("peak_memory") or {})),
            num(facts.get("train_rows"), ",.0f"),
        ]
        for name in names
        for part, facts in parts[name].items()
    ]
    yield Table(
        title="Every training",
        header=["run", "part", disk.metric.name, "seconds", "peak memory", "rows"],
        rows=rows,
    )
    events = list(_events(manifests, parts))
    if events:
        yield Table(title="What happened", header=EVENTS, rows=events[:MOST_EVENTS])
    else:
        yield Says(says=["nothing out of the ordinary happened to any training"])


def _manifests(disk: Disk) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The complete runs that can be read, and why others cannot."""
    found, notes = {}, []
    for name in disk.complete:
        try:
            found[name] = dict(read_manifest(disk.paths.runs / name))
        except PipelineError as error:
            notes.append(f"{name}: {str(error).splitlines()[0]}")
    return found, notes


def _unfinished(disk: Disk) -> list[str]:
    """Runs with a trained fold but no run.json, and how many folds they have."""
    found = []
    for folder in sorted(disk.paths.runs.glob("*/")):
        done = len(list(folder.glob("seed-*/*.json")))
        if folder.name not in disk.complete and done:
            found.append(f"{folder.name} ({plural(done, 'fold')} there)")
    return found


def _parts(disk: Disk, name: str, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Part -> what its own json says; {} for one that cannot be read."""
    found = {}
    for part in manifest["parts"]:
        try:
            found[part] = read_json(disk.paths.run(name) / f"{part}.json")
        except PipelineError:
            found[part] = {}
    return found


def _overview(
    disk: Disk,
    manifests: Mapping[str, dict[str, Any]],
    parts: Mapping[str, dict[str, dict[str, Any]]],
) -> Block:
    scores = {line.run: line for line in list_runs(disk.paths, disk.contest)}
    rows = []
    for name, manifest in manifests.items():
        known = [part["score"] for part in parts[name].values() if part.get("score") is not None]
        spread = statistics.stdev(known) if len(known) > 1 else None
        line = scores.get(name)
        recipe = manifest.get("recipe")
        about = recipe if isinstance(recipe, dict) else {}
        backbone = about.get("backbone") or about.get("learner") or ""
        seconds = [each for part in parts[name].values() if (each := _total(part)) is not None]
        peaks = [max(peak.values()) for part in parts[name].values() if (peak := _peak(part))]
        rows.append(
            [
                text(name),
                text(backbone, longest=60),
                num(None if line is None else line.score),
                num(statistics.fmean(known) if known else None),
                num(spread),
                num(None if line is None else line.holdout),
                num(sum(seconds) / 60 if seconds else None, ".1f"),
                num(max(peaks) / 1e9 if peaks else None, ".2f"),
            ]
        )
    header = ["run", "model", "pooled", "fold mean", "sd", "holdout", "minutes", "peak GB"]
    says = ["pooled: all out-of-fold predictions scored at once, the score an ensemble builds on"]
    return Table(title="Runs", header=header, rows=rows, says=says)


def _peak(part: Mapping[str, Any]) -> dict[str, float]:
    found = part.get("peak_memory")
    return dict(found) if isinstance(found, dict) else {}


def _total(part: Mapping[str, Any]) -> float | None:
    seconds = part.get("seconds")
    return float(sum(seconds.values())) if isinstance(seconds, dict) and seconds else None


def _spread(scores: list[float]) -> tuple[float, float] | None:
    if len(scores) < 2:
        return None
    middle, off = statistics.fmean(scores), statistics.stdev(scores)
    return middle - off, middle + off


def _curves(disk: Disk, name: str, manifest: Mapping[str, Any]) -> Iterator[Block]:
    """What TensorBoard logged, a line for each fold."""
    logged: dict[str, list[tuple[str, np.ndarray, np.ndarray, Tips]]] = {}
    for seed in manifest["seeds"][:2]:
        for repeat in range(min(manifest["repeats"], 2)):
            for fold in range(min(manifest["folds"], 8)):
                space = disk.paths.fold_workspace(name, seed, repeat, fold)
                label = part_name(repeat, fold).replace("-", " ")
                for tag, values in curves_at(space / "logs").items():
                    if tag in CURVES and len(values) > 1:
                        steps = sorted(values)
                        steps = steps[:: max(1, len(steps) // MOST_POINTS)]
                        y = np.array([values[step] for step in steps])
                        told = [[f"{label}, step {step}: {values[step]:.4g}", ""] for step in steps]
                        logged.setdefault(tag, []).append((label, np.array(steps), y, told))
    for tag, title in CURVES.items():
        lines = logged.get(tag, [])
        if tag == "learning_rate":
            lines = lines[:1]
        if lines:
            shown = f"{title}: {clean(name, 40)}"
            where = f"curve{abs(hash_of(name))}{tag}"
            yield dots(where, shown, lines, ("step", ""), joined=True)


def hash_of(name: str) -> int:
    """A number for a run's name, the same in every process."""
    return int.from_bytes(name.encode("utf-8", "replace")[-12:], "big")


def _events(
    manifests: Mapping[str, dict[str, Any]], parts: Mapping[str, dict[str, dict[str, Any]]]
) -> Iterator[list[Any]]:
    """What is not said of every fold: resumes, out of memory, divergence, other notes."""
    for name in manifests:
        for part, facts in parts[name].items():
            events = [each for each in facts.get("events") or [] if isinstance(each, dict)]
            starts = [each for each in events if each.get("what") == "started"]
            for each in events:
                if each.get("what") == "started" and len(starts) < 2:
                    continue
                yield _event(name, part, each)


def _event(name: str, part: str, event: Mapping[str, Any]) -> list[Any]:
    at = event.get("at")
    when = ""
    if isinstance(at, int | float) and 0 < at < 1e11:
        when = datetime.fromtimestamp(at, UTC).isoformat(" ", "minutes")[:16]
    said = str(event.get("message", ""))
    return [text(name), text(part), text(event.get("what", ""), label=True), text(said), text(when)]


def _live_events(disk: Disk) -> list[list[Any]]:
    """The journals of folds that are not finished, newest last."""
    found = []
    for path in sorted(disk.paths.workspaces.glob("*/seed-*/*/events.jsonl")):
        run, seed, part = path.parts[-4:-1]
        if run not in disk.complete:
            found += [
                _event(run, f"{seed}/{part}", each) for each in Journal(path, Silent()).entries()
            ]
    return found[-MOST_EVENTS:]


def cost(disk: Disk) -> Iterator[Block]:
    """Minutes against what they brought."""
    disk.need_runs()
    made, outcome = disk.made, disk.made.outcome
    word = "claimed" if outcome.doubts else "honest"
    rows, points = [], []
    for line, manifest in zip(made.lines, outcome.manifests, strict=True):
        try:
            seconds = seconds_of(disk.paths, line.name, dict(manifest))
        except PipelineError:
            seconds = None
        minutes = None if seconds is None else (seconds["fit"] + seconds["predict"]) / 60
        worth = line.worth
        rows.append(
            [
                text(line.name),
                num(minutes, ".2f"),
                num(line.score),
                num(line.weight, ".3f"),
                num(None if worth is None else worth.difference, "+.5f"),
                text("" if worth is None else worth.verdict, label=True),
                num(
                    None if not minutes or worth is None else worth.difference / minutes * 60,
                    "+.4f",
                ),
            ]
        )
        if minutes is not None and line.score is not None:
            points.append((line.name, minutes, line.score))
    known = [each[1] for each in points]
    yield Cards(
        cards=[
            ("minutes in all", f"{sum(known):,.1f}", "training and prediction, all folds"),
            (f"{word} score", f"{outcome.honest:.4f}", f"{made.method} of all runs"),
            ("time", clock_text(60 * sum(known)), f"of {plural(len(points), 'run')} that tell it"),
        ]
    )
    if points:
        series = [
            (
                clean(name, 32),
                np.array([minutes]),
                np.array([score]),
                [[f"{clean(name, 80)}: {minutes:.1f} minutes, {score:.4f}", ""]],
            )
            for name, minutes, score in points
        ]
        low, high = min(known), max(known)
        yield dots(
            "cost",
            "Minutes against the score of a run alone",
            series,
            ("minutes, all folds", disk.metric.name),
            log=low > 0 and high / low > 20,
        )
    header = ["run", "minutes", "alone", "weight", "worth", "is it real", "worth an hour"]
    says = [
        "worth: the honest score that is lost without the run, everything fitted anew; "
        "real where its whole 95 % interval is above 0"
    ]
    yield Table(title="What each run costs and brings", header=header, rows=rows, says=says)


def team(disk: Disk) -> Iterator[Block]:
    """Who gave what, and what is known of it."""
    disk.need_runs()
    lines = list_runs(disk.paths, disk.contest)
    rows, doubts = [], []
    for line in lines:
        rows.append(
            [
                text(line.run),
                text(line.by, label=not line.given),
                num(line.score),
                num(line.holdout),
                text(line.proof, label=not line.given),
                text(line.verdict or "ours", label=True),
                text(line.when[:10]),
            ]
        )
        if line.says:
            doubts.append([text(line.run), text("not usable", label=True), text(line.says)])
            continue
        manifest = read_manifest(disk.paths.runs / line.run)
        told = [("doubt", each.says) for each in doubts_of(manifest)]
        told += [("warning", says) for says in remarks_of(manifest)]
        if origin_of(manifest) is not None and (power := seen_by_audit(manifest)):
            told.append(("audit", power))
        doubts += [[text(line.run), text(what, label=True), text(says)] for what, says in told]
    given = [line.by for line in lines if line.given]
    yield Cards(
        cards=[
            ("runs", str(len(lines)), "complete"),
            ("given by team-mates", str(len(given)), ", ".join(sorted(set(given)))),
            ("in doubt", str(sum(row[1].text == "doubt" for row in doubts)), "see below"),
        ]
    )
    header = ["run", "given by", disk.metric.name, "holdout", "proof of folds", "verdict", "added"]
    yield Table(title="Who gave what", header=header, rows=rows)
    if doubts:
        yield Table(title="Doubts and warnings", header=["run", "", "what"], rows=doubts)
    else:
        yield Says(says=["nothing speaks against any run"])
