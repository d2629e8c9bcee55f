"""One run, one origin: its folds must come from the same backbone and the same tokenizer.

Settings cannot see this: an upgrade of the tokenizers library, or a model folder whose files were
replaced, changes what a learner reads while every setting stays as it was.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.base.errors import ArtifactError

SAME = {
    "tokenizer_canary": "the tokenizer output changed",
    "backbone_sha256": "the backbone's weights changed",
    "backbone_config": "the backbone's config.json changed",
}
"""Facts of a part's factory that may not differ, and what happened where they do."""


def check_one_origin(where: str, manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ArtifactError where the parts, name -> manifest, were not made from the same things."""
    for fact, happened in SAME.items():
        parts_of: dict[Any, list[str]] = {}
        for name, manifest in manifests.items():
            parts_of.setdefault(_facts(manifest).get(fact), []).append(name)
        if len(parts_of) > 1:
            lines = [
                f"  - {str(value)[:16]} ({_versions(manifests[names[0]])}): {', '.join(names)}"
                for value, names in parts_of.items()
            ]
            raise ArtifactError(
                f"{happened} between the folds of {where}, so they are not one model:\n"
                + "\n".join(lines)
                + "\nTrain it anew with --fresh; or install the versions of the parts you want to "
                "keep, delete the others' .json and .npz, and run the same command again."
            )


def _facts(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    facts = manifest.get("factory")
    return facts if isinstance(facts, dict) else {}


def _versions(manifest: Mapping[str, Any]) -> str:
    versions = _facts(manifest).get("versions", {})
    found = [
        f"{name} {versions[name]}" for name in ("tokenizers", "transformers") if name in versions
    ]
    return ", ".join(found) or "versions unknown"
