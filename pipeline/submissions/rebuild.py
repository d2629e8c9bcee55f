"""Make a submission again from the runs named in its provenance, and prove that it is the same."""

import csv
import hashlib
import io
from itertools import zip_longest
from pathlib import Path

from pipeline.base.errors import ArtifactError, UsageError, raise_if
from pipeline.base.files import commit_bytes, sha256
from pipeline.submissions.build import Made, make
from pipeline.submissions.origin import Origin, changes, hindrances

EXAMPLES = 3
UNSEEN = "versions and files are as they were then, so the code or the machine must be another"


def remake(root: Path, origin: Origin) -> Made:
    """Make the file again on the path that made it: its own config, method and members.

    Neither today's config file nor runs that were added since have a say. Raises ArtifactError
    listing everything that is missing or was made anew.
    """
    problems = hindrances(root, origin)
    raise_if(problems, ArtifactError, f"{origin.csv.name} cannot be made again")
    return make(root, origin.competition, origin.asked)


def prove(root: Path, origin: Origin, made: Made) -> None:
    """Raise ArtifactError, saying all that differs, unless *made* has the bytes of *origin*."""
    digest = hashlib.sha256(made.content).hexdigest()
    if digest == origin.sha256:
        return
    lines = [f"SHA-256 {digest[:16]} now, {origin.sha256[:16]} in its provenance"]
    then, now = origin.record["method"], made.outcome.assessment.method
    if then != now:
        lines.append(f"the method is {now}, then {then}")
    for member, line in zip(
        origin.record["members"], made.outcome.assessment.members, strict=False
    ):
        if isinstance(member.get("weight"), float) and line.weight != member["weight"]:
            lines.append(f"the weight of {line.name} is {line.weight!r}, then {member['weight']!r}")
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


def put(origin: Origin, made: Made, target: Path | None) -> Path | None:
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
