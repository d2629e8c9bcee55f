"""Which bytes a person means by the name of a file they sent."""

from pathlib import Path

from pipeline.base.errors import ArtifactError, DataError
from pipeline.base.files import read_json, sha256
from pipeline.submissions.alike import likeness
from pipeline.submissions.origin import find_file


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
