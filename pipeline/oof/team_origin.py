"""What run.json says about a run that a team-mate gave; read with care, files travel."""

from collections.abc import Mapping
from typing import Any

from pipeline.base.errors import ArtifactError

FIELDS: Mapping[str, type] = {
    "sources": dict,
    "kind": str,
    "by": str,
    "when": str,
    "proof": dict,
    "forced": list,
    "audit": dict,
}
AUDIT: Mapping[str, type] = {"verdict": str, "findings": list, "folds": list, "notes": list}


def origin_of(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """The field "team" of a manifest; None for a run of our own.

    Raises ArtifactError where it is there but not as `store` writes it.
    """
    team = manifest.get("team")
    if team is None:
        return None
    whole = _has(team, FIELDS) and _has(team["audit"], AUDIT) and _has(team["proof"], {"kind": str})
    if not whole:
        raise ArtifactError(
            f"run.json of {manifest.get('name')} has a field 'team' that is damaged. Add the file "
            "again: python -m pipeline.team add FILE --name NAME --replace"
        )
    return dict(team)


def unproven(manifest: Mapping[str, Any]) -> bool:
    """Whether nothing proves that a run was made on our folds."""
    team = origin_of(manifest)
    return team is not None and team["proof"]["kind"] not in ("passport", "folds")


def _has(value: Any, fields: Mapping[str, type]) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(name), kind) for name, kind in fields.items()
    )
