"""What a submission says it was made from, and whether that is still here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.base.config import Competition
from pipeline.base.errors import ArtifactError, PipelineError, UsageError
from pipeline.base.files import read_json, sha256
from pipeline.base.parser import from_dict
from pipeline.base.paths import Paths
from pipeline.oof.manifest import read_manifest
from pipeline.submissions.build import Asked
from pipeline.submissions.provenance import NAMED, digests, versions

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
    asked: Asked

    @property
    def sha256(self) -> str:
        """Of the file when it was written."""
        return str(self.record["sha256"])


def find_file(root: Path, name: str) -> Path:
    """The submission (as .csv, there or not) that *name* means: a path, or a name in submissions/.

    Raises UsageError naming the files there are.
    """
    given = Path(name)
    stem = given.with_suffix("") if given.suffix in (".csv", ".json") else given
    places = [stem, root / stem, root / "submissions" / stem.name]
    for place in places if stem.name else []:
        csv = place.with_name(f"{place.name}.csv")
        if csv.is_file() or csv.with_suffix(".json").is_file():
            return csv
    there = ", ".join(path.name for path in sorted((root / "submissions").glob("*.csv"))) or "none"
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


def _asked(record: Mapping[str, Any]) -> Asked:
    given = record.get("asked", {})
    known = {field.name for field in fields(Asked)} - set(NAMED)
    if unknown := sorted(set(given) - known):
        raise UsageError(f"it was made with {', '.join(unknown)}, which this version does not know")
    runs = [str(member["name"]) for member in record["members"]]
    return Asked(runs=runs, method=record["requested"], **given)


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
