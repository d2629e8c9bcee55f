"""run.json, checked before anything else of a run is opened.

A manifest may come from a newer release, from another machine, or from nobody we know: it must have
a format that this version reads, every field it needs, and exactly the parts that its seeds,
repeats and folds make, so that no part's name can lead out of the run's folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.base import ArtifactError, read_json
from pipeline.base.files import refuse_links
from pipeline.base.paths import Part

FORMAT = 1
"""Of run.json and of a fold's manifest; the releases up to 0.1 did not write it down."""
HARMLESS = {"task.metric", "task.submit", "task.class_codes"}
"""Settings that change no prediction, so they may change freely."""
MANNER = {
    f"recipe.{name}"
    for name in ("micro_batch_size", "micro_tokens", "packing", "length_groups", "cuda_graphs")
}
"""Settings of how a step's rows are run: its rows and its gradient stay, so folds trained with
others go together; a training does not go on with others, as dropout would draw other numbers."""
SAME = {
    "tokenizer_canary": "the tokenizer output changed",
    "backbone_sha256": "the backbone's weights changed",
    "backbone_config": "the backbone's config.json changed",
}
"""Facts of a part's factory that may not differ, and what happened where they do."""
NEEDED: dict[str, type] = {
    "name": str,
    "passport": str,
    "outputs": list,
    "seeds": list,
    "repeats": int,
    "folds": int,
    "parts": dict,
}
OPTIONAL: dict[str, type] = {"team": dict, "has_holdout": bool}
"""Of a run that a team-mate gave: where it came from; whether it holds the holdout rows."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the run in *folder*; ArtifactError where it cannot be trusted."""
    refuse_links(folder)
    path = folder / "run.json"
    manifest = read_json(path)
    check_format(manifest, path)
    remedy = "it is damaged. Run the model's pipeline.cv command again, finished folds are kept"
    if missing := [name for name in NEEDED if name not in manifest]:
        raise ArtifactError(f"{path} lacks {', '.join(missing)}: {remedy}")
    typed = NEEDED | {name: kind for name, kind in OPTIONAL.items() if name in manifest}
    wrong = [name for name, kind in typed.items() if not isinstance(manifest[name], kind)]
    if not wrong and not all(isinstance(seed, int) for seed in manifest["seeds"]):
        wrong = ["seeds"]
    if wrong:
        raise ArtifactError(f"{path} has {manifest[wrong[0]]!r:.60} as {wrong[0]}: {remedy}")
    seeds, repeats, folds = (manifest[name] for name in ("seeds", "repeats", "folds"))
    count = len(seeds) * repeats * folds
    if count != len(manifest["parts"]) or part_names(manifest) != set(manifest["parts"]):
        raise ArtifactError(
            f"{path} lists {len(manifest['parts'])} parts, which are not those of seeds {seeds}, "
            f"{repeats} repeats and {folds} folds: {remedy}"
        )
    return manifest


def parts_of(manifest: Mapping[str, Any]) -> list[Part]:
    """The trainings that a run of these seeds, repeats and folds has, one after the other."""
    return [
        Part(seed, repeat, fold)
        for seed in manifest["seeds"]
        for repeat in range(manifest["repeats"])
        for fold in range(manifest["folds"])
    ]


def part_names(manifest: Mapping[str, Any]) -> set[str]:
    """What they are called."""
    return {part.name for part in parts_of(manifest)}


def check_format(manifest: Mapping[str, Any], path: Path) -> None:
    """Raise ArtifactError where the manifest at *path* has a format that this version cannot read.

    None at all is format 1.
    """
    if (found := manifest.get("format", FORMAT)) != FORMAT:
        raise ArtifactError(
            f"{path} has format {found!r}, Foldstack {__version__} reads format {FORMAT}. "
            "Update Foldstack to the version that wrote it, or train the model again (--fresh)."
        )


# What run.json says about a run that a team-mate gave; read with care, files travel.


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
