"""An admitted file becomes a run like any other, so that ensemble, doctor and members read it.

    oof/COMP/NAME/seed-0/fold-F.npz, .json    its rows cut along our folds
    oof/COMP/NAME/run.json                    written last, with where the file came from

A team-mate's test predictions are one file, not one per fold: every fold holds the same ones, and
their mean is the file's. Values are kept as float32, as all predictions are.
"""

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.base import Paths, UsageError, read_json
from pipeline.base.files import commit_json, commit_text, refuse_links, sha256
from pipeline.base.leases import lease
from pipeline.base.paths import Part, safe_name
from pipeline.data.candidates import Candidates
from pipeline.folds.passport import fold_columns
from pipeline.oof import origin_of
from pipeline.oof.manifest import FORMAT, parts_of, unproven
from pipeline.oof.predictions import FoldPredictions, commit_fold
from pipeline.team.audit import Audit, as_values
from pipeline.team.candidate_view import CandidateView
from pipeline.team.competition import CompetitionView, Peer
from pipeline.team.texts import lines_of

# A run as one csv with a sidecar, for a team-mate's machine or another tool.
#
#     FILE.csv     id, part (train, test, holdout), fold, one column per output
#     FILE.json    the passport, what it was made from, the csv's SHA-256
#
# Numbers have nine digits, which give each float32 back exactly. A run whose folds nobody could
# prove is exported without folds and passport, so that it is not proved by passing through here.


SIDECAR_FORMAT = 1
MOST_SECONDS = 1e10  # three centuries


def export(
    paths: Paths, contest: CompetitionView, peer: Peer, path: Path, replace: bool = False
) -> str:
    """Write the csv, then its sidecar; the csv's SHA-256.

    Raises UsageError where another file lies at *path*, unless *replace*.
    """
    written = WRITTEN[contest.kind.predictions]
    if path.suffix.lower() != written.suffix:
        raise UsageError(f"--out {path} must end in {written.suffix}")
    content = written.content(contest, peer, not unproven(peer.manifest))
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder; name a file in it")
    if path.exists() and path.read_bytes() != content.encode() and not replace:
        raise UsageError(f"{path} is there already with other content. --replace overwrites it")
    digest = commit_text(path, content)
    commit_json(path.with_suffix(".json"), sidecar(paths, contest, peer, path.name, digest))
    return digest


def _content(contest: CompetitionView, peer: Peer, with_folds: bool) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    folds = fold_columns(len(contest.folds.fold_of_row)) if with_folds else []
    writer.writerow(["id", "part", *folds, *contest.competition.outputs])
    writer.writerows(_lines(contest, peer, with_folds))
    return stream.getvalue()


def _lines(contest: CompetitionView, peer: Peer, with_folds: bool) -> Iterator[list[str]]:
    none = [""] * len(contest.folds.fold_of_row) if with_folds else []
    today = contest.folds.fold_of_row.T.astype(str).tolist()
    for part, values in (("train", peer.oof), ("test", peer.test), ("holdout", peer.holdout)):
        if part == "holdout" and not np.isfinite(values).all():
            return
        rounded = values.astype(np.float32)
        for place, row_id in enumerate(contest.ids[part].tolist()):
            folds = today[place] if with_folds and part == "train" else none
            yield [row_id, part, *folds, *(f"{each:.9g}" for each in rounded[place].tolist())]


def _texts(contest: CompetitionView, peer: Peer, with_folds: bool) -> str:
    """The candidates of all rows, a line of JSON each."""
    said, folds = peer.said, contest.folds.fold_of_row
    assert said is not None, "a run of texts"
    if len(folds) > 1 and with_folds:
        raise UsageError("a run of texts in several repeats is not exported yet: send its folder")
    sets = {"train": said.oof, "test": said.test, "holdout": said.holdout}
    numbers = folds[0].tolist() if with_folds else None
    return "".join(
        lines_of(
            part,
            contest.ids[part].tolist(),
            numbers if part == "train" else None,
            each,
            with_folds,
        )
        for part, each in sets.items()
        if each
    )


@dataclass(frozen=True)
class Writing:
    """How a run is written for others."""

    suffix: str
    content: Callable[[CompetitionView, Peer, bool], str]


WRITTEN = {"numbers": Writing(".csv", _content), "texts": Writing(".jsonl", _texts)}
"""What predictions are (`Problem.predictions`) -> how a run is written."""


def sidecar(
    paths: Paths, contest: CompetitionView, peer: Peer, name: str, digest: str
) -> dict[str, Any]:
    """What goes beside the csv called *name*."""
    team = origin_of(peer.manifest) or {}
    known = not unproven(peer.manifest)
    return {
        "format": SIDECAR_FORMAT,
        "file": name,
        "sha256": digest,
        "competition": contest.competition.name,
        "run": peer.name,
        **(
            {"passport": peer.manifest["passport"], "digests": dict(contest.digests)}
            if known
            else {}
        ),
        "proof": team.get("proof", {"kind": "passport", "says": "trained on these folds"}),
        "outputs": contest.competition.outputs,
        "kind": peer.kind_in(contest.kind),
        "selection": str(peer.manifest.get("selection", "unknown")),
        "seconds": seconds_of(paths, peer.name, peer.manifest),
        **({"sources": team["sources"], "by": team["by"]} if team else {}),
        "foldstack": __version__,
    }


def seconds_of(paths: Paths, run: str, manifest: dict[str, Any]) -> dict[str, float] | None:
    """Seconds of training and of prediction over all parts; None where they are not recorded."""
    if manifest.get("team"):
        return as_seconds(manifest.get("seconds"))
    total = {"fit": 0.0, "predict": 0.0}
    for part in manifest["parts"]:
        found = as_seconds(read_json(paths.run(run) / f"{part}.json").get("seconds"))
        if found is None:
            return None
        total = {name: round(value + found[name], 3) for name, value in total.items()}
    return total


def as_seconds(told: Any) -> dict[str, float] | None:
    """The seconds of "fit" and "predict" that a file tells; None where they are no such numbers.

    >>> as_seconds({"fit": 3, "predict": 0.5, "more": None}), as_seconds({"fit": "12"})
    ({'fit': 3.0, 'predict': 0.5}, None)
    """
    if not isinstance(told, dict):
        return None
    known = {}
    for name in ("fit", "predict"):
        seconds: Any = told.get(name)
        if type(seconds) not in (int, float) or not 0 <= seconds <= MOST_SECONDS:
            return None
        known[name] = float(seconds)
    return known


SEED = 0
"""Stands for the seeds that we do not know."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where a file lies now."""

    folder: Path
    reused: bool
    """Whether the very same was there already, so that nothing was written."""


def store(
    paths: Paths,
    name: str,
    subject: CandidateView,
    audit: Audit,
    by: str = "",
    replace: bool = False,
) -> Stored:
    """Write the run, or find it written.

    The same files again, proved in the same way, change nothing. Raises UsageError where the name
    is taken by another file (unless *replace*) or by a run of our own, BusyError where another
    process writes it.
    """
    folder = paths.run(name)
    claim = paths.workspaces / f".{safe_name(name)}.team.lease"
    with lease(claim, f"run {name}") as held:
        refuse_links(folder)
        known = _known(paths, name)
        facts = _facts(subject, audit, by)
        if known is not None:
            facts |= _answered(known, facts, subject)
            if _same(known, facts, subject) and _whole(paths, name, known):
                return Stored(folder=folder, reused=True)
            _refuse_other(name, known, facts, replace)
            paths.run_manifest(name).unlink()  # first, so that no half run looks whole
        held.check()
        parts = _commit_parts(paths, name, subject, facts)
        held.check()
        commit_json(paths.run_manifest(name), _manifest(paths, name, subject, audit, parts, facts))
    return Stored(folder=folder, reused=False)


def check_name(paths: Paths, name: str) -> None:
    """Raise UsageError where *name* is empty, or of a run that was, or is being, trained here."""
    if not name.strip():
        raise UsageError("--name is empty; give the run a name, such as anna-deberta")
    known = _known(paths, name)
    if known is not None and not known.get("team"):
        raise UsageError(_ours(name))


def _ours(name: str) -> str:
    return f"{name} is a run that was trained here. Choose another --name, such as {name}-2"


def _known(paths: Paths, name: str) -> dict[str, Any] | None:
    """run.json of that name; UsageError where the folder is that of a run still in training."""
    if paths.run_manifest(name).exists():
        return read_json(paths.run_manifest(name))
    trained = [path.name for path in paths.run(name).glob("seed-*") if path.name != f"seed-{SEED}"]
    if trained:
        raise UsageError(f"{name} is a run in training ({', '.join(trained)}). Choose another name")
    return None


def _same(known: dict[str, Any], facts: dict[str, Any], subject: CandidateView) -> bool:
    """Whether what is stored is this file, read and proved in the same way, on the same folds."""
    there = known.get("team") or {}
    alike = all(there.get(key) == facts[key] for key in ("sources", "kind", "proof", "forced"))
    judged = there.get("audit", {}).get("verdict") == facts["audit"]["verdict"]
    return alike and judged and known.get("passport") == subject.contest.folds.digest


def _whole(paths: Paths, name: str, known: dict[str, Any]) -> bool:
    """Whether every part that run.json lists lies there, byte for byte."""
    for part in parts_of(known):
        path = paths.fold_predictions(name, *part)
        there = path.exists() and path.with_suffix(".json").exists()
        if not there or sha256(path) != known["parts"].get(part.name):
            return False
    return True


def _answered(
    known: dict[str, Any], facts: dict[str, Any], subject: CandidateView
) -> dict[str, Any]:
    """What a challenge said of the very predictions that are stored again."""
    there = known.get("team") or {}
    same = known.get("passport") == subject.contest.folds.digest and all(
        there.get(key) == facts[key] for key in ("sources", "kind")
    )
    return {"challenge": there["challenge"]} if same and "challenge" in there else {}


def _refuse_other(name: str, known: dict[str, Any], facts: dict[str, Any], replace: bool) -> None:
    there = known.get("team")
    if not there:
        raise UsageError(_ours(name))
    if replace or there.get("sources") == facts["sources"]:  # the same file, now better proved
        return
    listed = ", ".join(f"{file} ({digest[:12]}…)" for file, digest in there["sources"].items())
    raise UsageError(
        f"the name {name} is taken by another file: {listed}, added {there.get('when')}. "
        "Choose another --name, or put this one in its place with --replace"
    )


def _facts(subject: CandidateView, audit: Audit, by: str) -> dict[str, Any]:
    """Where the file came from and what was thought of it: run.json's "team"."""
    values = as_values(audit)
    return {
        "sources": subject.candidate.sources,
        "kind": subject.candidate.kind,
        "by": by,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "proof": values["proof"],
        "forced": [each.says for each in audit.findings if each.grade == "out"],
        "audit": values,
    }


def _commit_parts(
    paths: Paths, name: str, subject: CandidateView, facts: dict[str, Any]
) -> dict[str, str]:
    """Write every part; its name -> SHA-256."""
    contest = subject.contest
    settings = {
        "competition": contest.competition.name,
        "passport": contest.folds.digest,
        "outputs": contest.competition.outputs,
        "team": facts["sources"],
    }
    parts = {}
    for repeat in range(len(contest.folds.fold_of_row)):
        for fold in range(contest.folds.count):
            part = Part(SEED, repeat, fold)
            rows = contest.folds.valid_rows(repeat, fold)
            path = paths.fold_predictions(name, *part)
            manifest = {
                "run": paths.run(name).name,
                **part._asdict(),
                "valid_rows": int(rows.sum()),
                "metric": contest.metric.name,
                "score": subject.score(subject.oof, rows),
                "settings": settings,
                "foldstack": __version__,
            }
            commit_fold(path, _predictions(subject, rows), manifest)
            parts[part.name] = str(read_json(path.with_suffix(".json"))["predictions_sha256"])
    return parts


def _predictions(subject: CandidateView, rows: np.ndarray) -> FoldPredictions:
    ids, candidate = subject.contest.ids, subject.candidate
    values = candidate.values
    labels = subject.contest.folds.label_hash
    kept = slice(None) if subject.has_holdout else slice(0)
    texts = {}
    if candidate.said:
        texts = {"valid": candidate.candidates("train").rows(rows)}
        texts["test"] = candidate.candidates("test")
        texts["holdout"] = Candidates([], [])
        if subject.has_holdout:
            texts["holdout"] = candidate.candidates("holdout")
    return FoldPredictions(
        valid_ids=ids["train"][rows],
        valid=values["train"][rows],
        test_ids=ids["test"],
        test=values["test"],
        holdout_ids=ids["holdout"][kept],
        holdout=values["holdout"][kept],
        valid_labels=None if labels is None else labels[rows],
        texts=texts,
    )


def _manifest(
    paths: Paths,
    name: str,
    subject: CandidateView,
    audit: Audit,
    parts: dict[str, str],
    facts: dict[str, Any],
) -> dict[str, Any]:
    contest, sidecar = subject.contest, subject.candidate.sidecar
    scores: Sequence[float | None] = [line.score for line in audit.folds]
    seconds = as_seconds(sidecar.get("seconds"))
    more: dict[str, Any] = {} if seconds is None else {"seconds": seconds}
    if subject.has_holdout:
        more["holdout_score"] = audit.holdout
    return {
        "format": FORMAT,
        "name": paths.run(name).name,
        "competition": contest.competition.name,
        "passport": contest.folds.digest,
        "recipe": {"name": name, "learner": "team"},
        "outputs": contest.competition.outputs,
        "seeds": [SEED],
        "repeats": len(contest.folds.fold_of_row),
        "folds": contest.folds.count,
        "selection": str(sidecar.get("selection", "unknown")),
        "has_holdout": subject.has_holdout or not len(contest.ids["holdout"]),
        "parts": parts,
        "metric": contest.metric.name,
        "fold_scores": list(scores),
        "oof_score": audit.score,
        **more,
        "foldstack": __version__,
        "team": facts,
    }
