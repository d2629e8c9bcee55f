"""Make a submission again from the runs named in its provenance, and prove that it is the same."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pipeline.base import (
    ArtifactError,
    Competition,
    DataError,
    Paths,
    UsageError,
    raise_if,
    read_json,
)
from pipeline.base.errors import PipelineError
from pipeline.base.files import commit_bytes, sha256
from pipeline.base.parser import from_dict
from pipeline.oof import read_manifest
from pipeline.submissions.already_sent import likeness
from pipeline.submissions.build import (
    NAMED,
    BuildRequest,
)
from pipeline.submissions.built import Built, make_any
from pipeline.submissions.submission_file import SUFFIXES, beside, digests, versions

# What a submission says it was made from, and whether that is still here.


NEEDED: dict[str, type] = {
    **{"sha256": str, "config": dict, "members": list},
    **{"method": str, "requested": str, "passport": str},
}
"""Fields without which a file cannot be made again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """A submission and its provenance."""

    csv: Path
    """The file, there or not."""
    record: dict[str, Any]
    """The json beside it."""
    competition: Competition
    """As it was when the file was written."""
    asked: BuildRequest

    @property
    def sha256(self) -> str:
        """Of the file when it was written."""
        return str(self.record["sha256"])


def find_file(root: Path, name: str) -> Path:
    """The submission (there or not) that *name* means: a path, or a name in submissions/.

    Raises UsageError naming the files there are.
    """
    given = Path(name)
    stem = given.with_suffix("") if given.suffix in (*SUFFIXES, ".json") else given
    places = [stem, root / stem, root / "submissions" / stem.name]
    for place in places if stem.name else []:
        csv = beside(place.with_name(f"{place.name}.json"))
        if csv.is_file() or csv.with_suffix(".json").is_file():
            return csv
    files = sorted((root / "submissions").glob("*"))
    there = ", ".join(path.name for path in files if path.suffix in SUFFIXES) or "none"
    raise UsageError(
        f"there is no submission {name or repr(name)}; in {root / 'submissions'} there are: {there}"
    )


def read_origin(csv: Path) -> Origin:
    """The provenance beside *csv*; ArtifactError where it does not hold what it takes."""
    path = csv.with_suffix(".json")
    record = read_json(path)
    if lacking := [name for name, kind in NEEDED.items() if not isinstance(record.get(name), kind)]:
        raise ArtifactError(
            f"{path} lacks {', '.join(lacking)}, so {csv.name} cannot be made again from it"
        )
    try:
        competition = from_dict(Competition, record["config"])
        asked = _asked(record)
    except (UsageError, KeyError, TypeError) as error:
        made_by = record.get("versions", {}).get("foldstack", "an unknown version")
        raise ArtifactError(
            f"{path} was written by Foldstack {made_by} and does not fit this version, "
            f"{versions()['foldstack']}: {error}"
        ) from error
    return Origin(csv=csv, record=record, competition=competition, asked=asked)


def _asked(record: Mapping[str, Any]) -> BuildRequest:
    given = record.get("asked", {})
    known = {field.name for field in fields(BuildRequest)} - set(NAMED)
    if unknown := sorted(set(given) - known):
        raise UsageError(f"it was made with {', '.join(unknown)}, which this version does not know")
    runs = [str(member["name"]) for member in record["members"]]
    return BuildRequest(runs=runs, method=record["requested"], **given)


def hindrances(root: Path, origin: Origin) -> list[str]:
    """Why the file cannot be made again from what lies under *root*; [] where it can."""
    paths = Paths(root, origin.competition.name)
    found = list(_folds(paths, origin))
    for member in origin.record["members"]:
        found += _member(paths, member)
    now = digests(origin.competition, root)
    return found + [f"{name} is missing" for name, digest in now.items() if digest is None]


def _folds(paths: Paths, origin: Origin) -> Iterator[str]:
    try:
        today = read_json(paths.passport)["digests"]["overall"]
    except (PipelineError, KeyError, TypeError) as error:
        yield f"the folds cannot be read: {error}"
        return
    if today != origin.record["passport"]:
        yield (
            f"the folds are others: passport {str(today)[:16]} today, "
            f"{origin.record['passport'][:16]} then (restore {paths.folds_csv.name} and "
            f"{paths.passport.name} from git)"
        )


def _member(paths: Paths, member: Mapping[str, Any]) -> Iterator[str]:
    """What differs between a run of today and the run then."""
    name, then = member["name"], member["parts"]
    try:
        now = read_manifest(paths.run(name))["parts"]
    except PipelineError as error:
        yield f"run {name} cannot be read: {error}"
        return
    if extra := sorted(set(then) ^ set(now)):
        yield f"run {name} has other parts than then: {_first(extra)} only in one of them"
    if changed := sorted(part for part in set(then) & set(now) if then[part] != now[part]):
        yield f"run {name} was trained again since: {_first(changed)} differ from then"
    for part in sorted(set(then) & set(now) - set(changed)):
        path = paths.run(name) / f"{part}.npz"
        if not path.is_file():
            yield f"{path} is missing"
        elif sha256(path) != then[part]:
            yield f"{path} has changed since it was written"


def _first(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def changes(root: Path, origin: Origin) -> list[str]:
    """What else is not as it was then, which may or may not change bytes: versions, files."""
    then, now = origin.record.get("versions", {}), versions()
    found = [
        f"{name} is {now[name]}, then {then[name]}"
        for name in now
        if name in then and then[name] != now[name]
    ]
    was, today = origin.record.get("files", {}), digests(origin.competition, root)
    return found + [
        f"{name} has other bytes than then"
        for name, digest in today.items()
        if was.get(name) is not None and was[name] != digest
    ]


EXAMPLES = 3
UNSEEN = "versions and files are as they were then, so the code or the machine must be another"


def remake(root: Path, origin: Origin) -> Built:
    """Make the file again on the path that made it: its own config, method and members.

    Neither today's config file nor runs that were added since have a say. Raises ArtifactError
    listing everything that is missing or was made anew.
    """
    problems = hindrances(root, origin)
    raise_if(problems, ArtifactError, f"{origin.csv.name} cannot be made again")
    return make_any(root, origin.competition, origin.asked)


def prove(root: Path, origin: Origin, made: Built) -> None:
    """Raise ArtifactError, saying all that differs, unless *made* has the bytes of *origin*."""
    digest = hashlib.sha256(made.content).hexdigest()
    if digest == origin.sha256:
        return
    lines = [f"SHA-256 {digest[:16]} now, {origin.sha256[:16]} in its provenance"]
    then, now = origin.record["method"], made.method
    if then != now:
        lines.append(f"the method is {now}, then {then}")
    for member, (name, weight) in zip(origin.record["members"], made.weights.items(), strict=False):
        if isinstance(member.get("weight"), float) and weight != member["weight"]:
            lines.append(f"the weight of {name} is {weight!r}, then {member['weight']!r}")
    lines += changes(root, origin) or [UNSEEN]
    lines += _rows(origin, made.content)
    raise ArtifactError(
        f"{origin.csv.name} was made again, and it is not the same:\n"
        + "\n".join(f"  - {line}" for line in lines)
    )


def _rows(origin: Origin, content: bytes) -> list[str]:
    """Which rows differ from the file, where it is still as it was written."""
    if not origin.csv.is_file():
        return []
    old = origin.csv.read_bytes()
    if hashlib.sha256(old).hexdigest() != origin.sha256:
        return [f"{origin.csv} itself has changed since it was written"]
    tables = [csv.reader(io.StringIO(each.decode("utf-8"), newline="")) for each in (old, content)]
    differing = [pair for pair in zip_longest(*tables, fillvalue=[]) if pair[0] != pair[1]]
    first = "; ".join(
        f"{','.join(then)} then, {','.join(now)} now" for then, now in differing[:EXAMPLES]
    )
    return [f"{len(differing)} rows differ, first {first}"]


def check_free(target: Path, origin: Origin) -> Path:
    """Where --out *target* puts the file; UsageError where something else lies there."""
    place = target / origin.csv.name if target.is_dir() else target
    if place.exists() and not (place.is_file() and sha256(place) == origin.sha256):
        raise UsageError(f"{place} is there and is not this submission; name another with --out")
    return place


def put(origin: Origin, made: Built, target: Path | None) -> Path | None:
    """Write the file to *target*, or to its own place where it is missing; None if neither."""
    place = origin.csv if target is None else target
    if place.is_file() and sha256(place) == origin.sha256:
        return None
    if place.exists():
        raise ArtifactError(
            f"{place} has changed since it was written. The file was made again and its bytes are "
            f"those of the provenance; write them with --out, or delete {place} and run this again"
        )
    commit_bytes(place, made.content)
    return place


# Which bytes a person means by the name of a file they sent.


def identify(root: Path, competition: str, name: str) -> tuple[str, str]:
    """Name and SHA-256 of the file that *name* means; it need not be one of ours.

    Raises UsageError where there is no such file, ArtifactError where it is not the one its
    provenance speaks of, DataError where it is another competition's or no csv file.
    """
    csv = find_file(root, name)
    if not csv.with_suffix(".json").is_file():
        return csv.name, _foreign(csv)
    origin = read_json(csv.with_suffix(".json"))
    if origin.get("competition") != competition:
        raise DataError(
            f"{csv.name} is a submission of {origin.get('competition')}, the config is that of "
            f"{competition}: name the right one with --config"
        )
    digest = origin.get("sha256")
    if not isinstance(digest, str):
        raise ArtifactError(f"{csv.with_suffix('.json')} does not hold the SHA-256 of its file")
    if csv.is_file() and sha256(csv) != digest:
        raise ArtifactError(
            f"{csv} has changed since it was written, so nobody knows which bytes were sent. "
            f"Restore it (git), or make it again: python -m pipeline.rebuild {csv.name} --out PATH"
        )
    return csv.name, digest


def _foreign(csv: Path) -> str:
    """The SHA-256 of a file that is not ours."""
    content = csv.read_bytes()
    if likeness(content, content) is None:
        raise DataError(f"{csv} is no table of ids and predictions, so it was no submission")
    return sha256(csv)
