"""A run as one csv with a sidecar, for a team-mate's machine or another tool.

    FILE.csv     id, part (train, test, holdout), fold, one column per output
    FILE.json    the passport, what it was made from, the csv's SHA-256

Numbers have nine digits, which give each float32 back exactly. A run whose folds nobody could prove
is exported without folds and passport, so that it is not proved by passing through here.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.base.errors import UsageError
from pipeline.base.files import commit_json, commit_text, read_json
from pipeline.base.paths import Paths
from pipeline.folds.fold_file import fold_columns
from pipeline.oof.manifest import origin_of, unproven
from pipeline.team.competition import CompetitionView
from pipeline.team.runs import Peer

SIDECAR_FORMAT = 1
MOST_SECONDS = 1e10  # three centuries


def export(
    paths: Paths, contest: CompetitionView, peer: Peer, path: Path, replace: bool = False
) -> str:
    """Write the csv, then its sidecar; the csv's SHA-256.

    Raises UsageError where another file lies at *path*, unless *replace*.
    """
    content = _content(contest, peer, not unproven(peer.manifest))
    if path.suffix.lower() != ".csv":
        raise UsageError(f"--out {path} must end in .csv")
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
        "kind": "values" if contest.kind.numeric else "probabilities",
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
